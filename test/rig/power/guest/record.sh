# In Node's own root: programs recorded over the driver, and the recordings printed.
cd /share/node || exit 1
export PATH=/usr/bin:/bin HOME=/tmp
exec node record-programs.mjs
