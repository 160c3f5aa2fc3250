// The client of clients/node: handles COUNT messages of the `ponos serve` at URL, CONCURRENCY at once, and prints the seconds from
// the first to the last.
//     node ponos_worker.mjs URL COUNT CONCURRENCY
import { Bus } from "../../clients/node/index.js";

const [url, count, concurrency] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const bus = new Bus({ url });
let [handled, began, sum] = [0, 0, 0];
const working = bus.run(async (event) => {
  if (handled === 0) began = performance.now();
  sum += event.data.number;
  handled += 1;
  if (handled === count) {
    console.log((performance.now() - began) / 1000);
    bus.stop();
  }
}, { concurrency });
await working;
bus.close();
