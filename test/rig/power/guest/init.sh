#!/bin/busybox sh
# First program of the emulated machine: what the tests need of a system, then the tests, then off.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm /tmp /share /node
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp
ln -sf /proc/self/fd /dev/fd
hostname rig
ip link set lo up 2>/dev/null || ifconfig lo 127.0.0.1 up

finish() {
  echo "RIG-EXIT $1"
  sync
  poweroff -f
  sleep 60
}

for module in $(cat /modules/order); do
  insmod "/modules/$module" || finish "insmod $module failed"
done
mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=262144 node /node || finish "mount node failed"
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144 share /share || finish "mount share failed"
mkdir -p /share/log

insmod /modules/cxl_rig.ko $(cat /share/module-parameters) || finish "insmod cxl_rig failed"
insmod /modules/cxl.ko || finish "insmod cxl failed"
# The driver binds while it loads; the nodes come through devtmpfs right after.
for attempt in 1 2 3 4 5 6 7 8 9 10; do
  [ -e /dev/cxl/afu0.0s ] && break
  sleep 0.2
done
[ -e /dev/cxl/afu0.0s ] || finish "no /dev/cxl/afu0.0s"

sh /share/tests.sh
finish $?
