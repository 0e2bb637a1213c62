#!/bin/busybox sh
# First program of the machine: the kernel's drivers, then the tests, then off.
. /guest.sh

for module in $(cat /modules/order); do
  insmod "/modules/$module.ko" || finish "insmod $module failed"
done

# The endpoints come when the cxl bus has put its ports together.
count=$(cat /tables/count)
for attempt in $(seq 100); do
  [ "$(ls -d /sys/bus/cxl/devices/endpoint* 2>/dev/null | wc -l)" = "$count" ] && break
  sleep 0.1
done
[ "$(ls -d /sys/bus/cxl/devices/endpoint* 2>/dev/null | wc -l)" = "$count" ] || finish "no $count endpoints"

cd /app
export CXL_DOE_TARGET=sysfs CXL_TEST_TIME_SCALE=10 CXL_TEST_FILE_TIMEOUT=240000
for demonstration in \
  "doe list" \
  "doe discover 0000:0d:00.0 --force" \
  "doe cdat 0000:0d:00.0 --force" \
  "doe cdat 0000:0e:00.0 --force"; do
  echo "$ node-cxl $demonstration"
  node node_modules/node-cxl/dist/cli/main.js $demonstration
  echo "exit code $?"
done
node run-tests.mjs
finish $?
