"""Sends parcels: a worker of the demo. What weighs more than PARCELS_LIMIT (30) goes to the dead letters."""

import os

from ponos_bus import Bus

LIMIT = float(os.environ.get("PARCELS_LIMIT", "30"))

bus = Bus()
while True:
    with bus.receive() as event:
        parcel, weight = event.data["parcel"], event.data["weight"]
        if weight > LIMIT:
            print(f"parcel {parcel} is too heavy", flush=True)
            event.dead(f"weighs {weight} kg, and {LIMIT} are allowed")
        else:
            print(f"parcel {parcel} sent", flush=True)
            event.publish("demo.parcel.sent", {"parcel": parcel}, key=str(parcel))
