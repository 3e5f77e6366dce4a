"""Read an image through a cached daemon into a file, with a generated client and nothing of cached's own.

An example of an agent in another language; docs/agents/README.md explains the protocol it speaks. A real agent would
read the blocks that its programs ask for instead of all of them.
"""

import argparse
import concurrent.futures
import os
import sys
import threading
import time
import urllib.parse

import grpc
import zstandard

from cached.v1 import block_pb2, block_pb2_grpc, image_pb2, image_pb2_grpc

try:
    import blake3  # Debian has no such package; pip has
except ImportError:
    blake3 = None

# Asking again may help after these, and only after these. All others say something about the request or the block.
PASSING = (
    grpc.StatusCode.UNAVAILABLE,  # the daemon restarts, or neither it nor the origin has the block at hand
    grpc.StatusCode.RESOURCE_EXHAUSTED,  # overload
    grpc.StatusCode.DEADLINE_EXCEEDED,
)
ATTEMPT = 30.0  # seconds one request may take
MANIFEST_LIMIT = 512 << 20  # bytes of an answer; gRPC's own limit of 4 MiB is too small for manifests of large images


class Failure(Exception):
    """What a person is told."""


def call(method, request, metadata, patience):
    """Calls method, and again while the failure may pass, for patience seconds."""
    end, wait = time.monotonic() + patience, 0.05
    while True:
        try:
            return method(request, timeout=ATTEMPT, metadata=metadata)
        except grpc.RpcError as e:
            asked = dict(e.trailing_metadata() or ()).get("retry-after")
            wait = min(2 * wait, 5.0) if asked is None else float(asked)
            if e.code() not in PASSING or time.monotonic() + wait > end:
                raise Failure(f"{e.code().name}: {e.details()}") from e
            time.sleep(wait)


class Image:
    """An image opened for one start."""

    def __init__(self, channel, metadata, patience, name, workload):
        self.blocks = block_pb2_grpc.BlockServiceStub(channel)
        self.images = image_pb2_grpc.ImageServiceStub(channel)
        self.metadata, self.patience = metadata, patience
        self.context = block_pb2.CallContext(image=name, workload=workload, cause=block_pb2.CAUSE_DEMAND)
        # READ_AHEAD_IMAGE: all of it is wanted, so the daemon fetches ahead. An agent that mounts leaves it out.
        opened = call(
            self.images.OpenImage,
            image_pb2.OpenImageRequest(image=name, workload=workload, read_ahead=image_pb2.READ_AHEAD_IMAGE),
            metadata, patience)
        self.manifest, self.session, self.stale = opened.manifest, opened.session_id, opened.stale
        self.decoders = threading.local()  # a decoder serves one thread at a time

    def read(self, ref):
        """Returns the bytes of the image that ref stands for."""
        block_id = "blake3:" + ref.id.hex()
        answer = call(self.blocks.ReadBlock, block_pb2.ReadBlockRequest(id=block_id, context=self.context), self.metadata, self.patience)
        stored = answer.content
        if answer.id != block_id or answer.block_length != ref.stored_length or len(stored) != ref.stored_length:
            raise Failure(f"{block_id}: {len(stored)} bytes of {answer.id} where the manifest says {ref.stored_length}")
        # The daemon has verified the block. Whoever reads over a network that is not trusted, or from the origin, must too.
        if blake3 is not None and blake3.blake3(stored).digest() != ref.id:
            raise Failure(f"{block_id}: the bytes are another block's")
        if ref.encoding == image_pb2.ENCODING_RAW:
            content = stored
        elif ref.encoding == image_pb2.ENCODING_ZSTD:
            if not hasattr(self.decoders, "zstd"):
                self.decoders.zstd = zstandard.ZstdDecompressor()
            if zstandard.frame_content_size(stored) not in (-1, ref.length):  # -1: the frame does not say
                raise Failure(f"{block_id}: a frame of {zstandard.frame_content_size(stored)} bytes where the manifest says {ref.length}")
            content = self.decoders.zstd.decompress(stored, max_output_size=ref.length)
        else:
            raise Failure(f"{block_id}: encoding {ref.encoding}: a newer format than this program knows")
        if len(content) != ref.length:
            raise Failure(f"{block_id}: {len(content)} bytes after decoding where the manifest says {ref.length}")
        return content

    def copy_to(self, fd, parallel):
        """Writes the image to fd, blocks in the order they come, and returns how many there are."""
        os.ftruncate(fd, self.manifest.size)

        def copy(ref, offset):
            content = memoryview(self.read(ref))
            while content:
                n = os.pwrite(fd, content, offset)
                content, offset = content[n:], offset + n

        with concurrent.futures.ThreadPoolExecutor(parallel) as pool:
            jobs, offset = [], 0
            for ref in self.manifest.blocks:
                jobs.append(pool.submit(copy, ref, offset))
                offset += ref.length
            try:
                for job in concurrent.futures.as_completed(jobs):
                    job.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)  # the first failure is enough
                raise
        if offset != self.manifest.size:
            raise Failure(f"the blocks have {offset} bytes, the image {self.manifest.size}")
        return len(jobs)

    def close(self):
        """Tells the daemon that the start is over. One that was restarted has forgotten the session, and that is well."""
        try:
            self.images.CloseSession(image_pb2.CloseSessionRequest(session_id=self.session), timeout=5, metadata=self.metadata)
        except grpc.RpcError:
            pass


def connect(server, ca):
    url = urllib.parse.urlsplit(server)
    options = [("grpc.max_receive_message_length", MANIFEST_LIMIT)]
    if url.scheme == "https":
        roots = open(ca, "rb").read() if ca else None
        return grpc.secure_channel(url.netloc, grpc.ssl_channel_credentials(roots), options)
    if url.scheme == "http":
        return grpc.insecure_channel(url.netloc, options)
    if url.scheme == "unix":
        return grpc.insecure_channel("unix:" + url.path, options)
    raise Failure(f"--server {server}: not http://HOST:PORT, https://HOST:PORT or unix:///FILE")


def main():
    p = argparse.ArgumentParser(description="Read an image through a cached daemon into a file.")
    p.add_argument("image", help="name or manifest id")
    p.add_argument("output", help="file to write")
    p.add_argument("--server", default=os.environ.get("CACHED_SERVER", "http://127.0.0.1:7070"), help="URL of the daemon (env CACHED_SERVER)")
    p.add_argument("--ca", default=os.environ.get("CACHED_CA"), help="file with the CA of the daemon's certificate (env CACHED_CA)")
    p.add_argument("--token-file", default=os.environ.get("CACHED_TOKEN_FILE"), help="file with a bearer token (env CACHED_TOKEN_FILE)")
    p.add_argument("--workload", default="", help="what will run in the image")
    p.add_argument("--parallel", type=int, default=16, help="blocks read at once")
    p.add_argument("--patience", type=float, default=60, help="seconds to ask again while a failure may pass")
    args = p.parse_args()
    metadata = []
    if args.token_file:
        with open(args.token_file, encoding="ascii") as f:
            metadata.append(("authorization", "Bearer " + f.read().strip()))
    if blake3 is None:
        print("agent: no module blake3: blocks are checked by their lengths only", file=sys.stderr)
    with connect(args.server, args.ca) as channel:
        image = Image(channel, metadata, args.patience, args.image, args.workload)
        try:
            if image.stale:
                print("agent: the origin cannot be reached: the name may have moved since", file=sys.stderr)
            part = args.output + ".part"
            fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
            try:
                blocks = image.copy_to(fd, args.parallel)
                os.replace(part, args.output)
            except BaseException:
                os.unlink(part)  # half an image is worse than none
                raise
            finally:
                os.close(fd)
            print(f"{args.image}: {image.manifest.size} bytes in {blocks} blocks")
        finally:
            image.close()


if __name__ == "__main__":
    try:
        main()
    except (Failure, OSError) as e:
        sys.exit(f"agent: {e}")
