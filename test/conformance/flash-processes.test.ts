import { type FlashAttachOptions, type FlashContext, flashFlags, type Lun } from 'node-cxl/flash';
import { beforeEach, describe, expect, it } from 'vitest';
import { CHUNK, COMMAND_MODES, codeOf, inject, LUN_BLOCKS, testTarget } from './flash-target';
import type { FlashChild } from './support/flash-child';

const CHUNKS = LUN_BLOCKS[0] / CHUNK;

for (const mode of COMMAND_MODES) {
  describe(`two processes on a flash adapter, ${mode} mode`, () => {
    const target = testTarget(mode);
    let lun: Lun;
    let child: FlashChild;

    beforeEach(async () => {
      lun = await target.lun();
      child = await target.child();
    });

    function attach(options: FlashAttachOptions = {}): Promise<FlashContext> {
      return target.attach(lun, { watchInterval: 10, ...options });
    }

    function block(value: number): Uint8Array {
      return new Uint8Array(4096).fill(value);
    }

    describe('share it', () => {
      it('except contexts: every call with the other’s id is EINVAL', async () => {
        const context = await attach();
        const resource = await context.openVirtual({ blocks: 1n });
        await child.attach();
        const contextId = context.id;
        const rsrcHandle = BigInt(resource.handle);
        const flags = flashFlags.reuseContext | 2n;
        const calls = [
          child.call('ATTACH', { numInterrupts: 0n, flags, contextId }),
          child.call('USER_DIRECT', { contextId }),
          child.call('USER_VIRTUAL', { contextId, lunSize: 0n }),
          child.call('VLUN_RESIZE', { contextId, rsrcHandle, reqSize: 0n }),
          child.call('VERIFY', { contextId, rsrcHandle }),
          child.call('RELEASE', { contextId, rsrcHandle }),
          child.call('RECOVER_AFU', { contextId }),
          child.call('DETACH', { contextId }),
        ];
        expect(await Promise.all(calls.map(codeOf))).toEqual(calls.map(() => 'EINVAL'));
        // The parent still has its resources, and cannot use the child's either.
        expect(await resource.verify()).toBe(false);
        expect(resource.blocks).toBe(CHUNK);
        const { contextId: childs } = await child.token();
        const its = BigInt(`0x${childs}`);
        expect(BigInt.asUintN(32, its)).not.toBe(BigInt.asUintN(32, contextId));
        expect(await codeOf(lun.call('DETACH', { contextId: its }))).toBe('EINVAL');
      });

      it('with one mode for each LUN, and superpipe while either has a resource', async () => {
        await child.attach();
        const opened = await child.openDirect();
        const context = await attach();
        expect(await codeOf(context.openVirtual())).toBe('EINVAL');
        const direct = await context.openDirect();
        await direct.release();
        expect(await codeOf(lun.disableSuperpipe())).toBe('EBUSY');
        await child.release(opened.handle);
        expect(await codeOf(context.openVirtual())).toBe('resolved');
      });

      it('with the same chunks: ENOSPC for one while the other has them', async () => {
        await child.attach();
        const first = await child.openVirtual({ blocks: LUN_BLOCKS[0] - CHUNK });
        const context = await attach();
        const rest = await context.openVirtual({ blocks: LUN_BLOCKS[0] });
        expect(rest.blocks).toBe(CHUNK);
        expect(await codeOf(child.resize(first.handle, LUN_BLOCKS[0]))).toBe('ENOSPC');
        await child.close();
        expect((await rest.resize(LUN_BLOCKS[0])).blocks).toBe(LUN_BLOCKS[0]);
      });

      it('with the same data: what one wrote the other reads', async () => {
        await child.attach();
        const { handle } = await child.openDirect();
        const device = (await (await attach()).openDirect()).blockDevice();
        await child.write(handle, 77, 5);
        expect((await device.read(77, 1))[4095]).toBe(5);
        await device.write(78, block(6));
        expect(await child.read(handle, 77, 2)).toEqual([5, 6]);
        await device.unmap(77, 1);
        expect(await child.read(handle, 77, 2)).toEqual([0, 6]);
      });

      it('with the same resets: the other’s context is reset too and recovers by itself', async () => {
        await child.attach({ watchInterval: 10 });
        const { handle } = await child.openVirtual({ blocks: 10 });
        await child.write(handle, 1, 1);
        const context = await attach();
        const before = (await child.token()).contextId;
        expect(await child.isHealthy()).toBe(true);
        inject(context, 'errorState', 100);
        // The child's mapping is invalid once its simulated device has noticed.
        for (let turn = 0; turn < 1000 && (await child.isHealthy()); turn += 1);
        expect(await child.isHealthy()).toBe(false);
        const [own, its] = await Promise.all([context.recover(), child.recover()]);
        expect([own.reset, its]).toEqual([true, true]);
        expect((await child.token()).contextId).not.toBe(before);
        expect(await child.isHealthy()).toBe(true);
        expect(await child.read(handle, 1)).toEqual([1]);
        expect(await child.recover()).toBe(false);
      });
    });

    describe('VLUN_CLONE', () => {
      it('gives the child the same handles and blocks, which it resizes independently', async () => {
        const context = await attach();
        const gap = await context.openVirtual();
        const resource = await context.openVirtual({ blocks: 2n * CHUNK });
        await gap.release();
        const device = resource.blockDevice();
        await device.write(CHUNK + 1n, block(1));
        await child.attach();
        const clones = await child.cloneFrom(context.cloneToken());
        expect(clones).toEqual([{ handle: resource.handle, blocks: 2n * CHUNK }]);
        expect(await child.read(resource.handle, CHUNK + 1n)).toEqual([1]);
        await child.write(resource.handle, CHUNK + 1n, 2);
        expect((await device.read(CHUNK + 1n, 1))[0]).toBe(2);
        // Blocks that one process adds belong to it alone.
        expect(await child.resize(resource.handle, 3n * CHUNK)).toBe(3n * CHUNK);
        expect(await resource.verify()).toBe(false);
        expect(await codeOf(device.read(2n * CHUNK, 1))).toBe('ERR_OUT_OF_RANGE');
        expect((await context.openVirtual({ blocks: LUN_BLOCKS[0] })).blocks).toBe(
          (CHUNKS - 3n) * CHUNK,
        );
      });

      it('works while both have commands in flight', async () => {
        const context = await attach();
        const resource = await context.openVirtual({ blocks: 1n });
        await child.attach();
        await child.cloneFrom(context.cloneToken());
        const device = resource.blockDevice();
        const work: Promise<unknown>[] = [];
        for (let i = 0; i < 64; i += 1) {
          work.push(device.write(2 * i, block(i)), child.write(resource.handle, 2 * i + 1, i));
        }
        await Promise.all(work);
        const expected = Array.from({ length: 128 }, (_, lba) => lba >> 1);
        expect(await child.read(resource.handle, 0, 128)).toEqual(expected);
        const bytes = await device.read(0, 128);
        expect(expected.map((_, lba) => bytes[lba * 4096])).toEqual(expected);
      });

      it('keeps the chunks until both have released them, the parent first', async () => {
        const context = await attach();
        await context.openVirtual({ blocks: 2n * CHUNK });
        await child.attach();
        await child.cloneFrom(context.cloneToken());
        await context.close();
        const other = await attach();
        const rest = await other.openVirtual({ blocks: LUN_BLOCKS[0] });
        expect(rest.blocks).toBe((CHUNKS - 2n) * CHUNK);
        await child.close();
        expect((await rest.resize(LUN_BLOCKS[0])).blocks).toBe(LUN_BLOCKS[0]);
      });

      it('keeps the chunks until both have released them, the child first', async () => {
        const context = await attach();
        const resource = await context.openVirtual({ blocks: 2n * CHUNK });
        await resource.blockDevice().write(CHUNK, block(4));
        await child.attach();
        await child.cloneFrom(context.cloneToken());
        await child.close();
        const other = await attach();
        const rest = await other.openVirtual({ blocks: LUN_BLOCKS[0] });
        expect(rest.blocks).toBe((CHUNKS - 2n) * CHUNK);
        expect((await resource.blockDevice().read(CHUNK, 1))[0]).toBe(4);
        await resource.release();
        expect((await rest.resize(LUN_BLOCKS[0])).blocks).toBe(LUN_BLOCKS[0]);
      });

      it('gives the permissions that both parent and child have', async () => {
        const context = await attach({ access: 'read' });
        const { handle } = await context.openVirtual({ blocks: 1n });
        await child.attach({ access: 'read-write' });
        await child.cloneFrom(context.cloneToken());
        expect(await child.read(handle, 0)).toEqual([0]);
        await expect(child.write(handle, 0, 1)).rejects.toThrow('permission');
        expect(await child.read(handle, 0)).toEqual([0]);
      });

      it('is retried when the AFU is slow, which leaves the child’s context without resources', async () => {
        const context = await attach();
        const first = await context.openVirtual({ blocks: 1n });
        const resource = await context.openVirtual({ blocks: 1n });
        const contextIdDst = await child.attach();
        inject(context, 'slowSync', 0, 0n, 2);
        const contextIdSrc = context.id;
        expect(await codeOf(child.call('VLUN_CLONE', { contextIdSrc, contextIdDst }))).toBe(
          'EAGAIN',
        );
        const clones = await child.cloneFrom(context.cloneToken());
        expect(clones.map((clone) => clone.blocks)).toEqual([CHUNK, CHUNK]);
        await child.close();
        // The references that the failed attempts counted are not lost.
        await first.release();
        expect((await resource.resize(LUN_BLOCKS[0])).blocks).toBe(LUN_BLOCKS[0]);
      });

      it('needs a child with a context without resources: checked before the ioctl', async () => {
        const context = await attach();
        await context.openVirtual({ blocks: 1n });
        const sibling = await target.child();
        await sibling.attach();
        await sibling.openVirtual({ blocks: 1n });
        await child.attach();
        const refused = child.cloneFrom(await sibling.token());
        await expect(refused).rejects.toMatchObject({ code: 'ERR_INVALID_STATE' });
        await expect(refused).rejects.toThrow('only its direct child can clone from it');
        await child.openVirtual();
        const late = child.cloneFrom(context.cloneToken());
        await expect(late).rejects.toMatchObject({ code: 'ERR_INVALID_STATE' });
        await expect(late).rejects.toThrow('without resources');
        expect(await codeOf(child.cloneFrom({} as never))).toBe('ERR_INVALID_ARG_TYPE');
      });

      it('is EINVAL from itself, a sibling or a closed context, into one with resources, in error, for a direct LUN', async () => {
        const context = await attach();
        await context.openVirtual({ blocks: 1n });
        const contextIdDst = await child.attach();
        const clone = (contextIdSrc: bigint) =>
          codeOf(child.call('VLUN_CLONE', { contextIdSrc, contextIdDst }));
        expect(await clone(contextIdDst)).toBe('EINVAL');
        const sibling = await target.child();
        const siblings = await sibling.attach();
        await sibling.openVirtual({ blocks: 1n });
        expect(await clone(siblings)).toBe('EINVAL');
        const own = await child.openVirtual();
        expect(await clone(context.id)).toBe('EINVAL');
        await child.release(own.handle);
        expect(await clone(context.id)).toBe('resolved');
        const { id } = context;
        await context.close();
        await child.close();
        const second = { contextIdDst: await child.attach() };
        expect(await codeOf(child.call('VLUN_CLONE', { contextIdSrc: id, ...second }))).toBe(
          'EINVAL',
        );
        // The sibling keeps the LUN in virtual mode up to this point.
        await sibling.close();
        const direct = await attach();
        await direct.openDirect();
        const wrongMode = child.call('VLUN_CLONE', { contextIdSrc: direct.id, ...second });
        expect(await codeOf(wrongMode)).toBe('EINVAL');
      });

      it('attaches the parent’s other LUNs to the child, even with nothing to clone', async () => {
        const second = await target.lun(1);
        const context = await attach();
        await context.join(second);
        // Another context keeps the LUN in virtual mode, which cloning needs.
        await (await attach()).openVirtual();
        const contextId = await child.attach();
        await child.open(target.nodes[1]?.[0] ?? '');
        const onSecond = () => child.call('USER_VIRTUAL', { contextId, lunSize: 1n });
        expect(await codeOf(onSecond())).toBe('EINVAL');
        const clone = { contextIdSrc: context.id, contextIdDst: contextId };
        expect(await codeOf(lun.call('VLUN_CLONE', clone))).toBe('EINVAL');
        await child.open(target.nodes[0]?.[0] ?? '');
        expect(await codeOf(child.call('VLUN_CLONE', clone))).toBe('resolved');
        await child.open(target.nodes[1]?.[0] ?? '');
        const { rsrcHandle } = await onSecond();
        // A clone has no reference to the LUN: the last detach would leave this resource open.
        await child.call('RELEASE', { contextId, rsrcHandle });
      });

      it('is EIO without effect where the parent’s chunks are of another LUN', async () => {
        const second = await target.lun(1);
        const context = await attach();
        await context.join(second);
        await context.openVirtual({ lun, blocks: 1n });
        await context.openVirtual({ lun: second, blocks: 2n * CHUNK });
        const contextIdDst = await child.attach();
        const clone = { contextIdSrc: context.id, contextIdDst };
        // The driver looks up all chunks in the LUN of the ioctl.
        expect(await codeOf(child.call('VLUN_CLONE', clone))).toBe('EIO');
        const rest = await child.openVirtual({ blocks: LUN_BLOCKS[0] });
        expect(rest).toEqual({ handle: 0, blocks: LUN_BLOCKS[0] - CHUNK });
        await context.close();
        expect(await child.resize(rest.handle, LUN_BLOCKS[0])).toBe(LUN_BLOCKS[0]);
      });
    });
  });
}
