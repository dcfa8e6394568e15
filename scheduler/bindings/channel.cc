// The daemon's end of the rings.
#include "scheduler/bindings/bindings.h"

#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "scheduler/core/channel.h"

namespace coexec::scheduler {
namespace {

nb::object SlotArray(const std::shared_ptr<Slot>& slot) {
  return BytesArray(slot->data(), slot->bytes(), slot, true);
}

nb::object OutputArray(const std::shared_ptr<Output>& output) {
  return BytesArray(output->data(), output->bytes(), output, false);
}

}  // namespace

void BindChannel(nb::module_& m) {
  nb::exception<SlotsFull>(m, "SlotsFullError", PyExc_RuntimeError);
  nb::exception<RingFull>(m, "RingFullError", PyExc_RuntimeError);
  nb::exception<ChannelCorrupt>(m, "ChannelCorruptError", PyExc_RuntimeError);

  nb::class_<Slot>(m, "Slot").def_prop_ro("nbytes", &Slot::bytes).def_prop_ro("array", &SlotArray);
  nb::class_<Input>(m, "Input")
      .def(
          "__init__",
          [](Input* self, std::shared_ptr<Slot> slot, const std::string& dtype,
             std::vector<int64_t> shape) {
            new (self) Input(MakeInput(std::move(slot), dtype, std::move(shape)));
          },
          "slot"_a, "dtype"_a, "shape"_a);
  nb::class_<Output>(m, "Output")
      .def_prop_ro("dtype", [](const Output& output) { return DTypeName(output.info().dtype); })
      .def_prop_ro("shape",
                   [](const Output& output) { return nb::tuple(nb::cast(output.info().shape)); })
      .def_prop_ro("array", &OutputArray);
  nb::class_<Reply>(m, "Reply")
      .def_prop_ro("request_id", [](const Reply& reply) { return reply.head.request_id; })
      .def_prop_ro("code", [](const Reply& reply) { return reply.head.code; })
      .def_prop_ro("message", [](const Reply& reply) { return reply.head.message; })
      .def_prop_ro("outputs", [](const Reply& reply) { return reply.outputs; })
      .def_prop_ro("queue_us", [](const Reply& reply) { return reply.head.queue_us; })
      .def_prop_ro("compute_us", [](const Reply& reply) { return reply.head.compute_us; })
      .def_prop_ro("shared_jobs", [](const Reply& reply) { return reply.head.shared_jobs; })
      .def_prop_ro("saved_us", [](const Reply& reply) { return reply.head.saved_us; });

  nb::class_<Channel>(m, "Channel")
      .def(nb::init<int64_t, int64_t, int64_t>(), "slot_bytes"_a, "reply_bytes"_a, "ring_bytes"_a)
      .def("engine_fds", &Channel::engine_fds)
      .def("allocate", &Channel::Allocate, "nbytes"_a)
      .def(
          "submit",
          [](Channel& channel, uint64_t request_id, uint32_t program_id,
             const std::vector<Input>& inputs, int64_t deadline_us, uint32_t priority,
             uint64_t scope) {
            Submission submission;
            submission.request_id = request_id;
            submission.program_id = program_id;
            submission.deadline_us = deadline_us;
            submission.priority = priority;
            submission.scope = scope;
            channel.Submit(std::move(submission), inputs);
          },
          "request_id"_a, "program_id"_a, "inputs"_a, nb::kw_only(), "deadline_us"_a = 0,
          "priority"_a = 0, "scope"_a = 0)
      .def("cancel", &Channel::Cancel, "request_id"_a)
      .def("fileno", &Channel::fileno)
      .def("poll", &Channel::Poll)
      .def("reset", &Channel::Reset);
}

}  // namespace coexec::scheduler
