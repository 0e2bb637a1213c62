#!/bin/busybox sh
# First program of the emulated machine: the driver, then the tests, then off.
. /guest.sh
mkdir -p /share /node
hostname rig

for module in $(cat /modules/order); do
  insmod "/modules/$module" || finish "insmod $module failed"
done
for folder in node share; do
  mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=262144 $folder /$folder || finish "mount $folder failed"
done

parameters=$(tr ' ' '\n' < /proc/cmdline | sed -n 's/^cxl_rig\.//p')
insmod /modules/cxl_rig.ko $parameters || finish "insmod cxl_rig failed"
insmod /modules/cxl.ko || finish "insmod cxl failed"
# The driver binds while it loads; the nodes come through devtmpfs right after.
for attempt in 1 2 3 4 5 6 7 8 9 10; do
  [ -e /dev/cxl/afu0.0s ] && break
  sleep 0.2
done
[ -e /dev/cxl/afu0.0s ] || finish "no /dev/cxl/afu0.0s"

sh /share/tests.sh
finish $?
