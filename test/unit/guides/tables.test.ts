/** The tables of the guides for who comes from C: every function is there, and what they name exists. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { root, textOf } from './documents';

/** The functions and loops of libcxl.h, as of libcxl 1.7. */
const LIBCXL = `
  cxl_adapter_next cxl_for_each_adapter cxl_adapter_dev_name cxl_adapter_free cxl_adapter_afu_next
  cxl_for_each_adapter_afu cxl_afu_next cxl_for_each_afu cxl_afu_dev_name cxl_afu_sysfs_pci
  cxl_afu_open_dev cxl_afu_open_h cxl_afu_fd_to_h cxl_afu_free cxl_afu_opened cxl_afu_fd cxl_afu_attach
  cxl_afu_attach_work cxl_afu_attach_full cxl_work_alloc cxl_work_free cxl_work_set_wed
  cxl_work_get_wed cxl_work_set_num_irqs cxl_work_get_num_irqs cxl_work_set_amr cxl_work_get_amr
  cxl_work_enable_wait cxl_work_disable_wait cxl_work_get_tid cxl_afu_host_thread_wait
  cxl_afu_get_process_element cxl_get_api_version cxl_get_api_version_compatible cxl_get_cr_vendor
  cxl_get_cr_device cxl_get_cr_class cxl_get_irqs_min cxl_get_irqs_max cxl_set_irqs_max
  cxl_get_mmio_size cxl_get_mode cxl_set_mode cxl_get_modes_supported cxl_get_prefault_mode
  cxl_set_prefault_mode cxl_get_pp_mmio_len cxl_get_pp_mmio_off cxl_get_base_image
  cxl_get_image_loaded cxl_get_caia_version cxl_get_psl_revision cxl_get_psl_timebase_synced
  cxl_get_tunneled_ops_supported cxl_errinfo_size cxl_errinfo_read cxl_event_pending cxl_read_event
  cxl_read_expected_event cxl_fprint_event cxl_fprint_unknown_event cxl_mmio_map cxl_mmio_unmap
  cxl_mmio_ptr cxl_mmio_read32 cxl_mmio_read64 cxl_mmio_write32 cxl_mmio_write64
  cxl_mmio_install_sigbus_handler`;

/** The functions and open flags of capiblock.h. */
const CAPIBLOCK = `
  cblk_init cblk_term cblk_open cblk_close cblk_get_lun_size cblk_get_size cblk_set_size cblk_get_attrs
  cblk_get_stats cblk_read cblk_write cblk_unmap cblk_aread cblk_awrite cblk_aunmap cblk_aresult
  cblk_listio cblk_clone_after_fork cblk_cg_open cblk_cg_close cblk_cg_get_stats cblk_cg_get_lun_size
  cblk_cg_get_size cblk_cg_set_size cblk_cg_get_attrs cblk_cg_get_num_chunks cblk_cg_read cblk_cg_write
  cblk_cg_unmap cblk_cg_aread cblk_cg_awrite cblk_cg_aunmap cblk_cg_aresult cblk_cg_clone_after_fork
  CBLK_OPN_VIRT_LUN CBLK_OPN_SCRUB_DATA CBLK_OPN_NO_INTRP_THREADS CBLK_OPN_SHARE_CTXT CBLK_OPN_MPIO_FO
  CBLK_OPN_RESERVE CBLK_OPN_FORCED_RESERVE CBLK_OPN_GROUP CBLK_GROUP_RAID0`;

/** The declarations that are shipped. */
const declarations = ['device', 'events', 'flash', 'sysfs']
  .flatMap((folder) => {
    const full = path.join(root, 'dist', folder);
    return readdirSync(full)
      .filter((name) => name.endsWith('.d.ts'))
      .map((name) => readFileSync(path.join(full, name), 'utf8'));
  })
  .join('\n');

for (const [guide, names] of [
  ['lib/device/LIBCXL.md', LIBCXL],
  ['lib/flash/CAPIFLASH.md', CAPIBLOCK],
] as const) {
  describe(guide, () => {
    const rows = textOf(guide)
      .split('\n')
      .filter((line) => line.startsWith('| `'))
      .map((line) => line.split('|').map((cell) => cell.trim()));
    const code = (cell = '') => [...cell.matchAll(/`([^`]+)`/g)].map(([, text = '']) => text);

    it('has each name once', () => {
      const listed = rows.flatMap(([, left]) => code(left));
      expect(listed.sort()).toEqual(names.trim().split(/\s+/).sort());
    });

    it('leads to members that exist', () => {
      const members = rows
        .flatMap(([, , right]) => code(right))
        .flatMap((text) => [
          ...[...text.matchAll(/\.(\w+)/g)].map(([, name = '']) => name),
          ...[...text.matchAll(/(?:^| )(\w+)\(/g)].map(([, name = '']) => name),
        ])
        // Of JavaScript, and of Node.
        .filter((name) => !['log', 'race', 'length'].includes(name));
      const unknown = members.filter(
        (name) => !new RegExp(`\\b${name}\\b[(:?<]`).test(declarations),
      );
      expect(unknown).toEqual([]);
      expect(members.length).toBeGreaterThan(20);
    });
  });
}
