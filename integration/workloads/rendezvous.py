"""Lets clients wait for each other: a line `place<TAB>value` of each; when all are at a place, each gets `place<TAB>values`."""

import asyncio
import sys

clients = int(sys.argv[2])
waiting = {}


async def serve(reader, writer):
    try:
        while line := (await reader.readline()).decode().rstrip("\n"):
            place, value = line.split("\t", 1)
            there = waiting.setdefault(place, [])
            there.append((value, writer))
            if len(there) == clients:
                del waiting[place]
                answer = "\t".join([place, *sorted(value for value, _ in there)]) + "\n"
                for _, each in there:
                    each.write(answer.encode())
    finally:
        # The others would wait for ever.
        for there in waiting.values():
            for _, each in there:
                each.close()
        writer.close()


async def main():
    server = await asyncio.start_server(serve, sys.argv[1], 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
