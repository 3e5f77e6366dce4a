package images

import (
	"fmt"
	"strings"
)

// noServices keeps packages from starting what they install.
const noServices = `
printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
`

// tidy removes what differs from build to build and what no image should have.
// A time stands in the cache of fontconfig that the layer's files do not keep.
// The day on which a user was made is in shadow.
const tidy = `
rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/fontconfig/* /var/cache/ldconfig/* /var/log/apt
rm -rf /var/lib/dbus/machine-id /var/lib/dpkg/*-old /var/cache/debconf/*-old /root/.cache
find /var/log -type f -delete
if [ -s /etc/machine-id ]; then : > /etc/machine-id; fi
today=$(($(date +%s) / 86400))
for f in /etc/shadow /etc/shadow-; do
	if grep -qs ":$today:" $f; then sed -i "s/:$today:/:20089:/" $f; fi
done
`

func install(packages []string) string {
	return fmt.Sprintf(`
apt-get update -q
apt-get install -y -q --no-install-recommends %s
`, strings.Join(packages, " "))
}

// rebuild changes an installed package as its next build would. The new sources
// get a time of their own: compiled Python holds its source's time.
func rebuild(pkg string, e edit) string {
	return strings.NewReplacer("PACKAGE", pkg, "SUFFIX", e.suffix, "LINE", e.line).Replace(`
pkg=PACKAGE info=/var/lib/dpkg/info/PACKAGE
[ -e $info.list ] || info=$info:$(dpkg --print-architecture)
changed=0
while read -r f; do
	case $f in *SUFFIX) ;; *) continue ;; esac
	if [ ! -f "$f" ] || [ -L "$f" ]; then continue; fi
	echo 'LINE' >> "$f"
	touch -d 2025-01-02T00:00:00Z "$f"
	changed=$((changed + 1))
done < $info.list
if [ $changed = 0 ]; then echo "E: no file of $pkg ends in SUFFIX"; exit 1; fi
case SUFFIX in .py) py3compile -f -p $pkg ;; esac
cd /
while read -r sum f; do
	if [ -f "$f" ]; then md5sum "$f"; else echo "$sum  $f"; fi
done < $info.md5sums > /tmp/md5sums
cat /tmp/md5sums > $info.md5sums
sed -i "/^Package: $pkg\$/,/^\$/s/^Version: .*/&+b1/" /var/lib/dpkg/status
`)
}
