#!/usr/bin/env python3
"""Tidies addresses: takes the event that one has changed, and publishes the same event with the tidied one.

    ponos serve --config echo.toml &
    echo.py

So it hears what it says itself, and would answer itself for ever if it did not know its own voice: the event's source.
"""

from ponos_bus import Bus


def main():
    bus = Bus()
    own = f"/{bus.contracts()['service']}"
    while True:
        with bus.receive() as event:
            if event.attributes["source"] == own:
                print("heard myself", flush=True)
                event.skip()
                continue
            postcode = "".join(event.data["postcode"].split()).upper()
            tidied = {**event.data, "postcode": f"{postcode[:-3]} {postcode[-3:]}"}
            event.publish("customer.address.changed", tidied, key="tidied")
            print(f"customer {tidied['customer']} lives at {tidied['postcode']}", flush=True)


if __name__ == "__main__":
    main()
