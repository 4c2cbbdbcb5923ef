"""Write an OCI layout of a thousand images, of five layers each, of which they have four in common."""

import hashlib
import io
import json
import pathlib
import sys
import tarfile

folder = pathlib.Path(sys.argv[1])
(folder / "blobs/sha256").mkdir(parents=True)


def blob(media_type, content):
    digest = hashlib.sha256(content).hexdigest()
    (folder / "blobs/sha256" / digest).write_bytes(content)
    return {"mediaType": f"application/vnd.oci.image.{media_type}", "digest": f"sha256:{digest}", "size": len(content)}


def layer(word):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        entry = tarfile.TarInfo(word)
        entry.size = len(word)
        archive.addfile(entry, io.BytesIO(word.encode()))
    return blob("layer.v1.tar", out.getvalue())


common = [layer(f"common-{number}") for number in range(4)]
rows = []
for number in range(1000):
    layers = common + [layer(f"own-{number}")]
    config = {"architecture": "amd64", "os": "linux", "created": "2024-01-01T00:00:00Z", "config": {"Cmd": ["x"]},
              "rootfs": {"type": "layers", "diff_ids": [one["digest"] for one in layers]}}
    config = blob("config.v1+json", json.dumps(config).encode())
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config,
                "layers": layers}
    row = blob("manifest.v1+json", json.dumps(manifest).encode())
    rows.append(row | {"annotations": {"org.opencontainers.image.ref.name": f"localhost/app-{number}:1"}})
(folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": rows}
(folder / "index.json").write_text(json.dumps(index))
