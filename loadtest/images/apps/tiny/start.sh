read -r first rest < words.txt
echo "tiny VERSION: $first"
