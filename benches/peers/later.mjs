// Delayed jobs with BullMQ, the peer of benches/later.rs: how many a second are added and answered, in batches of 1,000 and singly
// from 16 at once. In a folder with `npm install bullmq`, beside Debian's redis-server --port PORT --appendonly yes --appendfsync always
// (each add durable before its answer, as the clock's), or everysec (a second of them may be lost):
//     node later.mjs PORT [SECONDS]
import { Queue } from "bullmq";
const connection = { host: "127.0.0.1", port: Number(process.argv[2]) };
const seconds = Number(process.argv[3] ?? 10);
const queue = new Queue("later", { connection });
const data = "x".repeat(200);
let number = 0;
const options = () => ({ delay: 3_600_000 + ((number * 7_919_317) % 31_000_000_000), jobId: `job-${number}` });
const one = () => { number += 1; return { name: "bench.item.due", data, opts: options() }; };
async function measured(title, clients, ask) {
  const begin = performance.now(), end = begin + seconds * 1000;
  let done = 0;
  const times = [];
  await Promise.all(Array.from({ length: clients }, async () => {
    while (performance.now() < end) { const at = performance.now(); const added = await ask(); done += added; times.push(performance.now() - at); }
  }));
  times.sort((a, b) => a - b);
  console.log(title, Math.round(done / ((performance.now() - begin) / 1000)), "a second, p50", times[times.length >> 1].toFixed(1), "p99", times[Math.floor(times.length * 0.99)].toFixed(1), "ms");
}
await queue.waitUntilReady();
await measured("1 at once, one by one", 1, async () => { const job = one(); await queue.add(job.name, job.data, job.opts); return 1; });
await measured("16 at once, one by one", 16, async () => { const job = one(); await queue.add(job.name, job.data, job.opts); return 1; });
await measured("1 at once, batches of 1000", 1, async () => { await queue.addBulk(Array.from({ length: 1000 }, one)); return 1000; });
await measured("4 at once, batches of 1000", 4, async () => { await queue.addBulk(Array.from({ length: 1000 }, one)); return 1000; });
await queue.close();
