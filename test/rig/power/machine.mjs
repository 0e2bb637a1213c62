// The emulated machine: POWER, two shared folders, and memory for the problem state areas.

// x-vof skips the slow firmware; TCG cannot do these capabilities and would warn.
const pseries =
  'pseries,ic-mode=xics,x-vof=on,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off';

function nextPowerOfTwo(value) {
  return 2 ** Math.ceil(Math.log2(value));
}

function shared(tag, folder) {
  return [
    '-fsdev', `local,id=${tag},path=${folder},security_model=none,readonly=on`,
    '-device', `virtio-9p-pci,fsdev=${tag},mount_tag=${tag}`,
  ]; // biome-ignore format: an option and its value a line
}

/** QEMU and its arguments. The kernel's log level puts warnings on the console. */
export function machine({
  cpu,
  processors,
  kernel,
  initrd,
  node,
  share,
  areaBytes,
  moduleParameters,
}) {
  const parameters = Object.entries(moduleParameters).map((pair) => `cxl_rig.${pair.join('=')}`);
  const args = [
    '-M', pseries, '-cpu', cpu, '-accel', 'tcg', '-m', '1G', '-smp', String(processors),
    '-display', 'none', '-vga', 'none', '-nodefaults', '-no-reboot',
    '-serial', 'stdio', '-monitor', 'none',
    '-object', `memory-backend-ram,id=afumem,size=${nextPowerOfTwo(areaBytes)}`,
    '-device', 'ivshmem-plain,memdev=afumem',
    ...shared('node', node),
    ...shared('share', share),
    '-kernel', kernel, '-initrd', initrd,
    '-append', `console=hvc0 loglevel=5 oops=panic panic=-1 ${parameters.join(' ')}`,
  ]; // biome-ignore format: an option and its value a line
  return { program: 'qemu-system-ppc64', args };
}
