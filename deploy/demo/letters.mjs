// Writes to customers: a worker of the demo.
import { Bus } from "ponos-bus";

await new Bus().run(async (event) => {
  console.log(`a letter about parcel ${event.data.parcel}`);
});
