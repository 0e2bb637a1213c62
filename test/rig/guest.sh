# The beginning of each machine's init: mounts what programs need, and defines how it ends.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm /tmp
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp
ln -sf /proc/self/fd /dev/fd
ip link set lo up 2>/dev/null || ifconfig lo 127.0.0.1 up

# What the runner reads on the console: the kernel's taint, which shows a problem that printed
# nothing, and how the tests ended.
finish() {
  echo "RIG-TAINT $(cat /proc/sys/kernel/tainted)"
  echo "RIG-EXIT $1"
  sync
  poweroff -f
  sleep 60
}
