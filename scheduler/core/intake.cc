// From the request ring to the scheduler: one thread checks what came and makes values of it.
#include <algorithm>

#include "scheduler/core/channel.h"
#include "scheduler/core/engine.h"

namespace coexec::scheduler {
namespace {

constexpr size_t kSweepSlotsAt = 1024;

int SleepMs(int64_t now_us, int64_t until_us) {
  if (until_us == kNever) return -1;
  return static_cast<int>(std::clamp<int64_t>((until_us - now_us + 999) / 1000, 0, 60'000));
}

}  // namespace

void Engine::Intake() {
  for (;;) {
    try {
      TakeRecords();
    } catch (const ChannelCorrupt&) {
      broken_.Signal();
      return;
    }
    int64_t until_us = kNever;
    const int64_t now_us = NowUs();
    {
      std::lock_guard lock(mutex_);
      if (stopping_) return;
      if (scheduler_->next_expiry_us() <= now_us) {
        scheduler_->Expire(now_us);
        DispatchLocked();
      }
      until_us = scheduler_->next_expiry_us();
    }
    endpoint_->Sleep(SleepMs(now_us, until_us));
  }
}

void Engine::TakeRecords() {
  coexec::scheduler::Record record;
  while (endpoint_->Next(record)) {
    if (record.kind == RecordKind::kSubmit) {
      TakeSubmission(record.submission);
      continue;
    }
    std::lock_guard lock(mutex_);
    scheduler_->Cancel(record.number);
    DispatchLocked();
  }
}

void Engine::TakeSubmission(const Submission& submission) {
  Arrival arrival;
  arrival.id = submission.request_id;
  arrival.priority = submission.priority;
  arrival.scope = submission.scope;
  arrival.deadline_us = std::max<int64_t>(0, submission.deadline_us);
  arrival.submitted_us = std::clamp<int64_t>(submission.submitted_us, 0, NowUs());
  Failure failure{kNotFound, "program " + std::to_string(submission.program_id) +
                                 " is not loaded in the engine"};
  std::unique_lock lock(mutex_);
  std::shared_ptr<const Program> program = scheduler_->FindProgram(submission.program_id);
  if (program) {
    lock.unlock();
    failure = MakeInputs(submission, *program, arrival.inputs);  // may compare much memory
    lock.lock();
  }
  if (failure.code == kOk) {
    // Its plan may have changed meanwhile; its inputs have not.
    arrival.program = scheduler_->FindProgram(submission.program_id);
    if (!arrival.program) arrival.program = std::move(program);
    scheduler_->Submit(std::move(arrival), NowUs());
    DispatchLocked();
  } else {
    scheduler_->Refuse(submission.request_id, failure);
  }
}

Failure Engine::MakeInputs(const Submission& submission, const Program& program,
                           std::vector<ValuePtr>& inputs) {
  const auto hold = std::make_shared<InputsHold>(endpoint_, submission.sequence);
  if (submission.inputs.size() != program.inputs.size()) {
    return {kInvalidArgument, "it takes " + std::to_string(program.inputs.size()) + " inputs, " +
                                  std::to_string(submission.inputs.size()) + " were given"};
  }
  for (size_t i = 0; i < submission.inputs.size(); ++i) {
    const WireTensor& tensor = submission.inputs[i];
    if (!Matches(program.inputs[i], tensor.info)) {
      return {kInvalidArgument, "input " + std::to_string(i) + " takes " + program.inputs[i].str() +
                                    ", " + tensor.info.str() + " was given"};
    }
    const std::byte* data = endpoint_->SlotData(tensor);
    const auto elements = Elements(tensor.info);
    const bool whole = data != nullptr && elements &&
                       (tensor.info.dtype == kString
                            ? HoldsStrings({data, static_cast<size_t>(tensor.bytes)}, *elements)
                            : Bytes(tensor.info) == tensor.bytes);
    if (!whole) {
      return {kInvalidArgument, "input " + std::to_string(i) + " does not lie in slot memory as " +
                                    tensor.info.str()};
    }
    inputs.push_back(Interned(submission, i, program, hold));
  }
  return {};
}

// The value of an input: that of an equal one in flight, if there is one.
ValuePtr Engine::Interned(const Submission& submission, size_t place, const Program& program,
                          const std::shared_ptr<InputsHold>& hold) {
  const WireTensor& tensor = submission.inputs[place];
  const std::pair slot(tensor.slot, submission.scope);
  if (reuse_) {
    const auto found = slot_values_.find(slot);
    const ValuePtr same = found == slot_values_.end() ? nullptr : found->second.lock();
    if (same && same->info == tensor.info && same->bytes == tensor.bytes) return same;
  }
  const auto made =
      std::make_shared<const Value>(tensor.info, endpoint_->SlotData(tensor), tensor.bytes, hold);
  if (!reuse_) return made;
  std::vector<ValuePtr> candidates;
  {
    std::lock_guard lock(mutex_);
    candidates = scheduler_->Candidates(program, static_cast<int>(place), submission.scope);
  }
  for (const ValuePtr& candidate : candidates) {
    if (SameContent(*candidate, *made)) return candidate;
  }
  if (slot_values_.size() >= kSweepSlotsAt) {
    std::erase_if(slot_values_, [](const auto& entry) { return entry.second.expired(); });
  }
  slot_values_[slot] = made;
  return made;
}

}  // namespace coexec::scheduler
