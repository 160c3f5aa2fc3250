// amqplib, acking each: consumes COUNT messages of QUEUE at URL, and prints the seconds from the first to the last.
//     NODE_PATH=<node_modules with amqplib> node amqplib.js URL QUEUE COUNT PREFETCH
'use strict';

const amqp = require('amqplib');

async function main([url, queue, count, prefetch]) {
  const connection = await amqp.connect(url);
  const channel = await connection.createChannel();
  await channel.prefetch(Number(prefetch));
  let [handled, began, sum] = [0, 0n, 0];
  await new Promise((resolve) => channel.consume(queue, (message) => {
    if (handled === 0) began = process.hrtime.bigint();
    sum += JSON.parse(message.content).number;
    channel.ack(message);
    handled += 1;
    if (handled === Number(count)) resolve();
  }));
  console.log(Number(process.hrtime.bigint() - began) / 1e9);
  await channel.close();
  await connection.close();
  return sum;
}

main(process.argv.slice(2)).catch((error) => { console.error(error); process.exit(1); });
