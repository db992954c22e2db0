/** How the hub is reached: its address, the user's token, and whether it may be asked at all. */
import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'

export interface ConnectionOptions {
  signal?: AbortSignal
  /** For gated repositories; else $HF_TOKEN, else what `hf auth login` saved. */
  token?: string
  /** Take only what is in the caches. $HF_HUB_OFFLINE=1 asks for the same. */
  offline?: boolean
}

/** What every call of the hub's client library is given. */
export interface HubConnection {
  hubUrl: string | undefined
  fetch: typeof fetch
  accessToken?: string
}

export async function hubConnection({ signal, token }: ConnectionOptions): Promise<HubConnection> {
  const accessToken = token ?? (await savedToken())
  return {
    hubUrl: process.env.HF_ENDPOINT,
    fetch: ((url, init) => fetch(url, { ...init, signal })) as typeof fetch,
    ...(accessToken ? { accessToken } : {}),
  }
}

export function isOffline({ offline }: ConnectionOptions): boolean {
  return offline ?? /^(1|true|yes|on)$/i.test(process.env.HF_HUB_OFFLINE ?? '')
}

/** What `fetch` throws when it reaches nobody. */
export function isNetworkFailure(error: unknown): boolean {
  return error instanceof TypeError && error.message === 'fetch failed'
}

/** As Hugging Face's own tools: from the environment, else from `hf auth login`. */
async function savedToken(): Promise<string | undefined> {
  const { HF_TOKEN, HF_TOKEN_PATH, HF_HOME, XDG_CACHE_HOME } = process.env
  if (HF_TOKEN) return HF_TOKEN
  const home = HF_HOME ?? join(XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'huggingface')
  const token = await readFile(HF_TOKEN_PATH ?? join(home, 'token'), 'utf8').catch(() => '')
  return token.trim() || undefined
}
