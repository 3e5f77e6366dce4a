package docs_test

// zoneOfFour runs the hosts h2, h4, h7 and h9 of a zone. This shell is on h7; flask:v1 has
// been started there before, and was brought onto h2.
const zoneOfFour = `
zone="--zone eu-1a --zone-insecure --l2-size 256MiB --l2-min-free 0"
cached publish oci:flask-layout --name flask:v1
cached serve $zone --node h7 --data-dir /srv/h7 --peer-listen 10.0.0.7:7072 --gossip 10.0.0.7:7946 &
for n in 2 4 9; do
  cached serve $zone --node h$n --data-dir /srv/h$n --peer-listen 10.0.0.$n:7072 --gossip 10.0.0.$n:7946 --seed 10.0.0.7:7946 \
    --listen 10.0.0.$n:7070 --insecure --admin 10.0.0.$n:7071 --insecure-admin &
done
until cached status | grep -q 'ring .* of 4 nodes'; do sleep 0.1; done
mkdir /srv/start
for n in 2 7; do
  address=10.0.0.2
  [ $n = 2 ] || address=127.0.0.1
  cached mount flask:v1 /srv/start --workload serve --server http://$address:7070
  cat /srv/start/data/* >/dev/null
  cached umount /srv/start
done
until cached trace ls flask:v1 | grep -q serve; do sleep 0.1; done
until cached images where flask:v1 --workload serve | grep -q '^h2 .*100'; do sleep 0.1; done
`

const (
	noKVM        = "KVM and this program are not here; the page says that it was not run"
	bootedByHand = "needs a mirror of Debian and minutes: CACHED_PROVE=1 go test ./cmd/cached -run DiskOfAVirtualMachine runs it"
	noCluster    = "there is no cluster"
	inCluster    = "there is no cluster; CACHED_PROVE=1 go test ./helm -run TestProveAnAPIServerTakesTheChart does it on an API server"
)

var virtualMachines = map[string]instead{
	"apt-get download $(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: //p')": {why: bootedByHand},
	"dpkg -x linux-image-*.deb kernel":               {why: bootedByHand, script: "mkdir -p kernel/lib/modules\n"},
	"cp $(find ../kernel/lib/modules -name $m.ko) .": {why: bootedByHand},
	`qemu-system-x86_64 -accel tcg -m 256M -nodefaults -nographic -serial stdio -no-reboot -kernel /tmp/vm/kernel/boot/vmlinuz-* -initrd /tmp/vm/initrd.gz -append "console=ttyS0 quiet panic=-1 start=/bin/start" -drive file=/tmp/vm/mnt/image.erofs,format=raw,readonly=on,if=virtio`: {why: bootedByHand},
	`cloud-hypervisor --kernel /srv/vmlinux --cmdline "console=hvc0 root=/dev/vda rootfstype=erofs ro init=/sbin/init" --cpus boot=1 --memory size=256M --disk path=/mnt/vm/image.erofs,readonly=on`:                                                                                     {why: noKVM},
}

var kubernetes = map[string]instead{
	"kubectl create namespace caches": {why: inCluster},
	"kubectl -n caches create secret generic cached-ca-eu-1a --from-file=ca-eu-1a/ca.crt --from-file=ca-eu-1a/ca.key": {
		why: inCluster, script: "ls ca-eu-1a/ca.crt ca-eu-1a/ca.key\n",
	},
	"kubectl -n caches create secret generic store --from-literal=AWS_ACCESS_KEY_ID=... --from-literal=AWS_SECRET_ACCESS_KEY=...": {why: inCluster},
	"make image VERSION=0.1.0": {
		why: "builds for a minute: the test in packaging does, and pushes it; here the tag is that of the chart", script: "grep -qx 'appVersion: \"0.1.0\"' helm/cached/Chart.yaml\n",
	},
	"buildah push cached:0.1.0 docker://registry.example/cached:0.1.0": {why: "there is no such registry"},
	helmInstall: {
		why:    inCluster + "; here the chart is rendered with these values, which its schema checks",
		script: "helm template" + helmInstall[len("helm install"):] + " --kube-version 1.31 > /dev/null\n",
	},
}

const helmInstall = `helm install cached helm/cached --namespace caches --set image.repository=registry.example/cached,image.tag=0.1.0 --set 'zones={eu-1a}' ` +
	`--set 'origin.urls={s3://images?endpoint=https://minio.example:9000&region=eu-1}' --set origin.existingSecret=store ` +
	`--set monitoring.podMonitor.enabled=true,monitoring.rules.enabled=true,monitoring.dashboards.enabled=true`
