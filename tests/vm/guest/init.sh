#!/bin/sh
# First process of the virtual machine: mounts, network, the store, the checks, and off. Waiting reaps what is orphaned.
export PATH=/usr/local/bin:/usr/sbin:/usr/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=755 tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount --make-rshared /
mkdir -p /run/netns /run/sockets
modprobe br_netfilter
ip link set lo up
ip address add 100.64.0.1/32 dev lo
ip link add up0 type dummy
ip address add 100.64.0.2/24 dev up0
ip link set up0 up
ip route add default via 100.64.0.254 dev up0
echo "# init: $(cut -d' ' -f1 /proc/uptime) s after the kernel's start"
node /opt/cortado/acquirer.cjs 100.64.0.1 9090 >/var/log/acquirer.log 2>&1 &
node --max-semi-space-size=1 /opt/cortado/cortado.cjs server --data-dir /var/lib/cortado --node-name store-vm --node-ip 100.64.0.2 \
  --write-kubeconfig /root/kubeconfig --local-socket-dir /run/sockets --resolv-conf /dev/null >/var/log/cortado.log 2>&1 &
node /opt/guest/checks.ts &
wait $!
sync
poweroff -f
