import { CxlError } from '../shared/errors';

const tries = 20;
const longestPause = 100;

/** Repeats a call while it answers EAGAIN, waiting longer each time (2 s in all at most). */
export async function patiently<T>(
  call: () => Promise<T>,
): Promise<{ answer: T; retries: number }> {
  for (let retries = 0; ; retries += 1) {
    try {
      return { answer: await call(), retries };
    } catch (error) {
      const again = error instanceof CxlError && error.code === 'EAGAIN' && retries < tries;
      if (!again) throw error;
      await new Promise((resolve) => setTimeout(resolve, Math.min(2 ** retries, longestPause)));
    }
  }
}
