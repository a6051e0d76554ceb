"""The modules of the protocol of gRPC are what protoc makes of its description."""

import pytest

pytest.importorskip("grpc_tools", reason="needs grpcio-tools")

import protocol


def test_the_modules_are_what_the_tool_writes(tmp_path):
    made = protocol.generate(tmp_path)
    assert [file.name for file in made] == [
        "service_pb2.py",
        "service_pb2.pyi",
        "service_pb2_grpc.py",
    ]
    for file in made:
        written = (protocol.ROOT / protocol.PLUGIN / file).read_text("utf-8")
        assert written == (tmp_path / file).read_text("utf-8"), "run: python tools/protocol.py"
