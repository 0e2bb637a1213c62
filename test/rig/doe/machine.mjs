// The emulated machine: memory devices behind a Compute Express Link bridge, a root port each.

function device({ file }, index) {
  const table = file === undefined ? '' : `,cdat=${file}`;
  return [
    '-object', `memory-backend-ram,id=m${index},size=256M`,
    '-object', `memory-backend-ram,id=l${index},size=1M`,
    '-device', `cxl-rp,port=${index},bus=cxl.1,id=rp${index},chassis=0,slot=${index + 2}`,
    '-device', `cxl-type3,bus=rp${index},memdev=m${index},lsa=l${index},id=t${index},sn=${0x1234 + index}${table}`,
  ]; // biome-ignore format: an option and its value a line
}

/** QEMU and its arguments. The kernel's log level puts warnings on the console. */
export function machine({ kernel, initrd, devices }) {
  const args = [
    '-M', 'q35,cxl=on,cxl-fmw.0.targets.0=cxl.1,cxl-fmw.0.size=4G',
    '-accel', 'tcg,thread=multi', '-cpu', 'max', '-smp', '1', '-m', '2G,maxmem=8G,slots=4',
    '-nodefaults', '-nographic', '-no-reboot', '-serial', 'stdio', '-monitor', 'none',
    '-kernel', kernel, '-initrd', initrd,
    '-append', 'console=ttyS0 loglevel=5 oops=panic panic=-1 pcie_ports=compat',
    '-device', 'pxb-cxl,bus_nr=12,bus=pcie.0,id=cxl.1',
    ...devices.flatMap(device),
  ]; // biome-ignore format: an option and its value a line
  return { program: 'qemu-system-x86_64', args };
}
