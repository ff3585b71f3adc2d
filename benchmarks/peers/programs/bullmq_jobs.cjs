// BullMQ: `node bullmq_jobs.cjs hand` puts jobs in, `worker` works them off. The commands and the
// tally are those of hand.py and tally.py.
'use strict'

const fs = require('fs')
const readline = require('readline')
const { setTimeout: sleep } = require('timers/promises')
const { Queue, Worker } = require('bullmq')

const connection = { path: process.env.BENCH_BROKER, maxRetriesPerRequest: null }
const settings = JSON.parse(process.env.BENCH_SETTINGS || '{}')
const text = 'x'.repeat(Number(process.env.BENCH_TEXT || 64))
const CHUNK = 500
const now = () => Number(process.hrtime.bigint()) / 1e9 // the same clock for all processes

function work () {
  const slow = Number(process.env.BENCH_SLOW || 0) * 1000
  const done = tally()
  const job = slow
    ? async ({ data }) => { await sleep(slow); done(data.number) }
    : async ({ data }) => { done(data.number) }
  new Worker('bench', job, { connection, ...settings }).on('error', console.error)
}

function tally () {
  const file = fs.openSync(process.env.BENCH_TALLY, 'a')
  const total = Number(process.env.BENCH_TOTAL || 0)
  const note = (number) => { fs.writeSync(file, `${number} ${now()}\n`) }
  if (process.env.BENCH_MODE === 'each') return note
  let seen = 0
  return () => {
    seen += 1
    if (seen === 1 || seen === total) note(seen)
  }
}

const commands = {
  async one (queue, first, n) {
    for (let number = first; number < first + n; number++) await queue.add('job', { number, text })
  },
  async many (queue, first, n) {
    for (let start = first; start < first + n; start += CHUNK) {
      const length = Math.min(CHUNK, first + n - start)
      await queue.addBulk(Array.from({ length }, (_, i) => (
        { name: 'job', data: { number: start + i, text } })))
    }
  },
  async idle (queue, first, n, gap) {
    const times = []
    for (let number = first; number < first + n; number++) {
      await sleep(gap * 1000)
      times.push(now())
      await queue.add('job', { number, text })
    }
    return times
  },
  async left (queue) {
    const counts = await queue.getJobCounts('wait', 'active', 'delayed', 'prioritized', 'paused')
    return Object.values(counts).reduce((a, b) => a + b, 0)
  }
}

async function hand () {
  const queue = new Queue('bench', { connection })
  await queue.waitUntilReady()
  console.log(JSON.stringify({ ready: true }))
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [word, ...given] = line.split(' ')
    const began = now()
    const used = process.cpuUsage()
    const told = await commands[word](queue, ...given.map(Number))
    const { user, system } = process.cpuUsage(used)
    const answer = { seconds: now() - began, cpu: (user + system) / 1e6, told }
    console.log(JSON.stringify(answer))
  }
  process.exit(0)
}

process.argv[2] === 'worker' ? work() : hand()
