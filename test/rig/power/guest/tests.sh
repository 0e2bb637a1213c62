# Runs in the guest. Each check prints a line "ok - name" or "not ok - name"; the runner counts them.
failed=0

echo "# $(uname -srvm), $(grep -m1 '^cpu' /proc/cpuinfo | sed 's/.*: //'), $(grep -c ^processor /proc/cpuinfo) processor(s)"
echo "# driver: cxl.ko of that kernel, unmodified, api $(cat /sys/class/cxl/afu0.0/api_version)"
for node in /dev/cxl/*; do echo "# $(stat -c '%n %F %a' "$node")"; done
for attribute in /sys/class/cxl/card0/* /sys/class/cxl/afu*/*; do
  [ -f "$attribute" ] && [ -r "$attribute" ] || continue
  case $attribute in */uevent | */reset | */afu_err_buff) continue ;; esac
  echo "# ${attribute#/sys/class/cxl/} = $(head -n1 "$attribute")"
done

stage() {
  name=$1
  shift
  start=$(cut -d' ' -f1 /proc/uptime)
  echo "# stage $name"
  "$@"
  status=$?
  end=$(cut -d' ' -f1 /proc/uptime)
  echo "# stage $name: $(echo "$end $start" | awk '{ printf "%.1f", $1 - $2 }') s"
  [ $status -eq 0 ] && return
  echo "# stage $name: exit status $status"
  failed=1
}

stage "life table in C" /share/check

if [ -d /share/node ]; then
  # A root of Node's folders, which are read-only, and the machine's.
  for folder in $(ls /node) dev proc sys tmp share; do
    mkdir -p /root/$folder
    [ -d /node/$folder ] && mount --bind /node/$folder /root/$folder || mount --bind /$folder /root/$folder
  done
  for script in /share/node/*.sh; do stage "$(basename "$script" .sh)" chroot /root /share/busybox sh "$script"; done
fi
exit $failed
