/** A small hub on this machine, with the endpoints that the client library asks: for one repository, org/tiny. */
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { ExecutionContext } from 'ava'

export interface HubServer {
  url: string
  files: Map<string, HubFile>
  /** `METHOD path range` of every request so far. */
  requests: string[]
  /** The Authorization header of every request so far. */
  authorizations: (string | undefined)[]
  close(): Promise<void>
}

export interface HubFile {
  content: Buffer
  /** Whether the hub keeps it in large-file storage, and so announces its SHA-256. */
  large?: boolean
  /** What is sent in place of the content. */
  sent?: Buffer
  /** The connection breaks after this many bytes. */
  breakAfter?: number
  /** Called when the first half is on its way; the rest never comes. */
  onHalf?: () => void
  /** In place of the true hash. */
  hash?: string
}

export const commit = '0123456789abcdef0123456789abcdef01234567'

export async function startHub(t: ExecutionContext, files: Record<string, HubFile>): Promise<HubServer> {
  const hub: HubServer = {
    url: '',
    files: new Map(Object.entries(files)),
    requests: [],
    authorizations: [],
    close: async () => {},
  }
  const server = createServer((request, response) => answer(hub, request, response))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  hub.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  hub.close = () =>
    new Promise(resolve => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  t.teardown(() => hub.close())
  return hub
}

function answer(hub: HubServer, request: IncomingMessage, response: ServerResponse): void {
  const path = decodeURIComponent(new URL(request.url!, hub.url).pathname)
  hub.requests.push(`${request.method} ${path} ${request.headers.range ?? ''}`.trim())
  hub.authorizations.push(request.headers.authorization)
  const json = (value: unknown, status = 200) =>
    response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(value))

  if (path.includes('org/gated')) return void json({ error: 'Access to model org/gated is restricted' }, 401)
  if (path === '/api/models/org/tiny/revision/main' || path === `/api/models/org/tiny/revision/${commit}`)
    return void json({
      _id: '1',
      id: 'org/tiny',
      sha: commit,
      private: false,
      downloads: 0,
      likes: 0,
      lastModified: '2026-01-01',
    })
  if (path === `/api/models/org/tiny/tree/${commit}`) return void json(listing(hub.files))
  const file = hub.files.get(path.replace(`/org/tiny/resolve/${commit}/`, ''))
  if (file) send(file, request, response)
  else json({ error: 'Repository not found' }, 404)
}

function listing(files: Map<string, HubFile>) {
  return [...files].map(([path, { content, large, hash }]) => {
    const git = createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex')
    const sha256 = createHash('sha256').update(content).digest('hex')
    const entry = { type: 'file', path, size: content.length, oid: hash ?? git }
    return large ? { ...entry, lfs: { oid: hash ?? sha256, size: content.length, pointerSize: 130 } } : entry
  })
}

function send(file: HubFile, request: IncomingMessage, response: ServerResponse): void {
  const content = file.sent ?? file.content
  const range = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? '')
  const start = Number(range?.[1] ?? 0)
  const end = Math.min(range?.[2] ? Number(range[2]) + 1 : content.length, content.length)
  const body = content.subarray(start, end)
  const probe = range?.[2] === '0'
  response.writeHead(range ? 206 : 200, {
    'Content-Length': body.length,
    'Content-Range': `bytes ${start}-${end - 1}/${content.length}`,
    ETag: '"x"',
  })
  if (file.onHalf && !probe) {
    response.write(body.subarray(0, body.length / 2))
    setTimeout(file.onHalf, 50)
  } else if (file.breakAfter !== undefined && !probe) {
    response.write(body.subarray(0, file.breakAfter), () => setTimeout(() => response.destroy(), 50))
  } else {
    response.end(body)
  }
}
