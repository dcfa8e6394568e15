#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "scheduler/core/tensor_info.h"

namespace coexec::scheduler {

// The records of the two rings. Encoding is little-endian and unaligned; decoding checks every
// length, so that any bytes are either a record or an error.

// A submission or reply with more tensors than this is no record.
inline constexpr size_t kTensorsMax = 1024;

struct WireTensor {
  int64_t offset = 0;  // in slot memory (inputs) or reply memory (outputs)
  int64_t bytes = 0;
  uint64_t slot = 0;  // inputs: which slot; never used twice
  TensorInfo info;
};

struct Submission {
  uint64_t sequence = 0;  // names the slots this submission holds until InputsReleased
  uint64_t request_id = 0;
  uint32_t program_id = 0;
  uint32_t priority = 0;
  uint64_t scope = 0;
  int64_t deadline_us = 0;  // 0: none
  int64_t submitted_us = 0;
  std::vector<WireTensor> inputs;
};

struct WireReply {
  uint64_t request_id = 0;
  uint32_t code = 0;
  std::string message;
  uint64_t queue_us = 0;
  uint64_t compute_us = 0;
  uint32_t shared_jobs = 0;
  uint64_t saved_us = 0;
  std::vector<WireTensor> outputs;
};

enum class RecordKind : uint8_t { kSubmit = 1, kCancel, kReleaseOutput, kReply, kInputsReleased };

// What a record says. `number` is the request id, output offset or submission sequence of the
// small ones.
struct Record {
  RecordKind kind = RecordKind::kCancel;
  uint64_t number = 0;
  Submission submission;
  WireReply reply;
};

std::vector<std::byte> Encode(const Submission& submission);
std::vector<std::byte> Encode(const WireReply& reply);
std::vector<std::byte> Encode(RecordKind kind, uint64_t number);

// False when the bytes are no record.
bool Decode(std::span<const std::byte> bytes, Record& record);

}  // namespace coexec::scheduler
