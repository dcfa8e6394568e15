// Both ends of a channel in one process: records round trip, and garbage is an error.
#include "scheduler/core/channel.h"

#include <fcntl.h>
#include <poll.h>

#include <cstring>

#include "kernels/base/check.h"
#include "scheduler/core/endpoint.h"
#include "scheduler/core/value.h"

namespace coexec::scheduler {
namespace {

using check::RandomInt;

std::vector<int> Duplicates(const std::vector<int>& fds) {
  std::vector<int> copies;
  for (const int fd : fds) copies.push_back(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  return copies;
}

Submission NewSubmission(uint64_t id) {
  Submission submission;
  submission.request_id = id;
  submission.program_id = 3;
  return submission;
}

void TestRoundTrip() {
  Channel channel(1 << 20, 1 << 20, 1 << 16);
  Endpoint endpoint(Duplicates(channel.engine_fds()));
  auto slot = channel.Allocate(16);
  std::memset(slot->data(), 5, 16);
  channel.Submit(NewSubmission(8), {MakeInput(slot, "f32", {2, 2})});
  channel.Cancel(8);
  slot.reset();
  Record record;
  CHECK(endpoint.Next(record) && record.kind == RecordKind::kSubmit);
  const Submission& got = record.submission;
  CHECK(got.request_id == 8 && got.program_id == 3 && got.inputs.size() == 1);
  CHECK(got.inputs[0].info.str() == "f32[2, 2]");
  CHECK(endpoint.SlotData(got.inputs[0])[15] == std::byte{5});
  const uint64_t sequence = got.sequence;
  CHECK(endpoint.Next(record) && record.kind == RecordKind::kCancel && record.number == 8);
  CHECK(!endpoint.Next(record));
  auto block = endpoint.Allocate(8);
  std::memset(block->data(), 9, 8);
  WireReply reply;
  reply.request_id = 8;
  reply.message = "fine";
  reply.outputs = {{block->offset(), 8, 0, {DTypeByName("u8"), {8}}}};
  endpoint.Send(reply, {block});
  endpoint.SendInputsReleased(sequence);
  auto replies = channel.Poll();
  CHECK(replies.size() == 1 && replies[0].head.message == "fine");
  CHECK(replies[0].outputs[0]->data()[7] == std::byte{9});
  CHECK(channel.Allocate(1 << 20) != nullptr, "the slot came back");
  const int64_t offset = block->offset();
  block.reset();
  CHECK(endpoint.Allocate(1 << 20) == nullptr, "the reply still holds its memory");
  replies.clear();
  channel.Poll();
  CHECK(!endpoint.Next(record) && endpoint.Allocate(1 << 20)->offset() == 0 && offset == 0);
}

void TestDecodeTakesAnyBytes() {
  Submission submission = NewSubmission(1);
  submission.inputs = {{64, 16, 1, {13, {2, 2}}}, {128, 4, 2, {kString, {}}}};
  WireReply reply;
  reply.message = "text";
  reply.outputs = {{0, 4, 0, {13, {1}}}};
  for (const auto& good : {Encode(submission), Encode(reply), Encode(RecordKind::kCancel, 9)}) {
    Record record;
    CHECK(Decode(good, record));
    for (size_t length = 0; length < good.size(); ++length) {
      CHECK(!Decode({good.data(), length}, record), "a truncated record of %zu", length);
    }
    for (int round = 0; round < 3000; ++round) {
      auto bad = good;
      for (int64_t flips = RandomInt(1, 6); flips > 0; --flips) {
        bad[static_cast<size_t>(RandomInt(0, static_cast<int64_t>(bad.size()) - 1))] =
            static_cast<std::byte>(RandomInt(0, 255));
      }
      if (Decode(bad, record) && record.kind == RecordKind::kSubmit) {
        for (const WireTensor& tensor : record.submission.inputs) {
          (void)Bytes(tensor.info);
          (void)tensor.info.str();
        }
      }
    }
  }
}

void TestGarbageFromTheEngineIsAnError() {
  const auto send = [](const WireTensor& output) {
    Channel channel(1 << 16, 1 << 16, 1 << 16);
    Endpoint endpoint(Duplicates(channel.engine_fds()));
    WireReply reply;
    reply.outputs = {output};
    endpoint.Send(reply, {});
    try {
      channel.Poll();
      return false;
    } catch (const ChannelCorrupt&) {
      return true;
    }
  };
  CHECK(!send({0, 4, 0, {DTypeByName("f32"), {1}}}));
  CHECK(send({-64, 4, 0, {DTypeByName("f32"), {1}}}));
  CHECK(send({1 << 16, 4, 0, {DTypeByName("f32"), {1}}}));
  CHECK(send({0, 1 << 17, 0, {DTypeByName("f32"), {1 << 15}}}));
  CHECK(send({0, 8, 0, {DTypeByName("f32"), {1}}}));
  CHECK(send({0, 4, 0, {77, {1}}}));
}

void TestReleasesWakeTheEngineBeforeItsMemoryRunsOut() {
  Channel channel(1 << 16, 1 << 16, 1 << 16);
  Endpoint endpoint(Duplicates(channel.engine_fds()));
  pollfd requests = {channel.engine_fds()[3], POLLIN, 0};
  const auto wakes = [&](int64_t bytes) {
    auto block = endpoint.Allocate(bytes);
    WireReply reply;
    reply.outputs = {{block->offset(), bytes, 0, {DTypeByName("u8"), {bytes}}}};
    endpoint.Send(reply, {block});
    channel.Poll();  // its result lets the output go
    endpoint.Sleep(0);
    channel.Poll();
    return poll(&requests, 1, 0) == 1;
  };
  CHECK(!wakes(16));
  CHECK(wakes(1 << 14));
}

void TestSlotsOutsideAreNoData() {
  Channel channel(1 << 16, 1 << 16, 1 << 16);
  Endpoint endpoint(Duplicates(channel.engine_fds()));
  const TensorInfo info{DTypeByName("u8"), {}};
  CHECK(endpoint.SlotData({0, 1 << 16, 1, info}) != nullptr);
  CHECK(endpoint.SlotData({64, 1 << 16, 1, info}) == nullptr);
  CHECK(endpoint.SlotData({-64, 4, 1, info}) == nullptr);
  CHECK(endpoint.SlotData({64, -1, 1, info}) == nullptr);
  CHECK(endpoint.SlotData({4, 4, 1, info}) == nullptr);
  CHECK(endpoint.SlotData({INT64_MAX - 63, 64, 1, info}) == nullptr);
}

void TestDigests() {
  std::vector<std::byte> data(1000);
  for (std::byte& byte : data) byte = static_cast<std::byte>(RandomInt(0, 255));
  for (const int64_t bytes : {1, 7, 8, 31, 32, 33, 64, 999, 1000}) {
    const uint64_t before = Digest64(data.data(), bytes);
    CHECK(before == Digest64(data.data(), bytes));
    auto& flipped = data[static_cast<size_t>(RandomInt(0, bytes - 1))];
    flipped ^= std::byte{1};
    CHECK(before != Digest64(data.data(), bytes), "%lld bytes", static_cast<long long>(bytes));
    flipped ^= std::byte{1};
  }
}

}  // namespace
}  // namespace coexec::scheduler

int main() {
  coexec::scheduler::TestRoundTrip();
  coexec::scheduler::TestDecodeTakesAnyBytes();
  coexec::scheduler::TestGarbageFromTheEngineIsAnError();
  coexec::scheduler::TestReleasesWakeTheEngineBeforeItsMemoryRunsOut();
  coexec::scheduler::TestSlotsOutsideAreNoData();
  coexec::scheduler::TestDigests();
}
