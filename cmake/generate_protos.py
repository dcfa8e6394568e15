"""Generate coexec/protos/*_pb2.py from protos/*.proto.

Messages live in a descriptor pool of their own. An application may import another client of
the same protocol (tritonclient, say) in the same process; in protobuf's default pool the two
definitions of package `inference` would collide.
"""

import sys
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

_DEFAULT_POOL = "_descriptor_pool.Default()"
_POOL = '''"""The descriptor pool that holds this package's messages."""

from google.protobuf.descriptor_pool import DescriptorPool

POOL = DescriptorPool()
'''


def generate(source: Path, target: Path) -> None:
    """Compile every .proto file of `source` into the package `target`/coexec/protos."""
    package = target / "coexec" / "protos"
    package.mkdir(parents=True, exist_ok=True)
    files = [f"coexec/protos/{path.name}" for path in sorted(source.glob("*.proto"))]
    well_known = resources.files("grpc_tools") / "_proto"
    arguments = [
        "protoc",
        f"--proto_path=coexec/protos={source}",
        f"--proto_path={well_known}",
        f"--python_out={target}",
        f"--pyi_out={target}",
        f"--grpc_python_out={target}",
    ]
    if protoc.main(arguments + files) != 0:
        sys.exit("protoc failed; see the messages above")
    for path in package.glob("*_pb2.py"):
        text = path.read_text()
        if text.count(_DEFAULT_POOL) != 1:
            sys.exit(f"{path}: expected one {_DEFAULT_POOL}; protoc's output has changed")
        text = text.replace(_DEFAULT_POOL, "_POOL")
        path.write_text(
            text.replace("import sys\n", "").replace(
                "# @@protoc_insertion_point(imports)",
                "from coexec.protos.pool import POOL as _POOL",
                1,
            )
        )
    (package / "pool.py").write_text(_POOL)
    (package / "__init__.py").write_text('"""Messages and stubs generated from protos/."""\n')


if __name__ == "__main__":
    generate(Path(sys.argv[1]), Path(sys.argv[2]))
