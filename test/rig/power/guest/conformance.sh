# In Node's own root: the bundled tests against the driver.
cd /share/node || exit 1
. /share/environment
export PATH=/usr/bin:/bin
export CXL_TARGET=rig NODE_CXL_AFU=afu0.0 NODE_CXL_PROCESSES=$(cat /share/process-elements)
# Sequences of the model-based test: each takes seconds here.
export CXL_RUNS="${CXL_RUNS:-20}"
export CXL_TEST_TIME_SCALE=10 CXL_TEST_FILE_TIMEOUT=600000 CXL_TEST_LINES=1 HOME=/tmp
echo "# node $(node --version) $(node -p 'process.arch + " " + require("os").endianness()')"
exec node run-tests.mjs $(cat /share/test-names)
