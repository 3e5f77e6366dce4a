# What a reader does between the commands of a page.
set -Eeuo pipefail
trap 'status=$?; echo "status $status of: $BASH_COMMAND"; exit $status' ERR
declare -A daemons
step() { echo "$1" >"$OUT/step"; }
before() { # ADDRESS: end the daemon whose admin port this is
  local pid=${daemons[$1]:-}
  [ -n "$pid" ] || return 0
  kill -TERM "$pid"
  while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
}
after() { # ADDRESS: the daemon that was just started answers there
  local pid=$!
  daemons[$1]=$pid
  disown "$pid" # a page that waits for its jobs does not mean this one
  until curl -s -o /dev/null "http://$1/healthz"; do
    kill -0 "$pid"
    sleep 0.05
  done
}
exec </dev/null
