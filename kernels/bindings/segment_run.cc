#include "kernels/bindings/segment_run.h"

#include <nanobind/stl/string.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "kernels/base/buffer.h"

namespace nb = nanobind;

namespace coexec::kernels {
namespace {

// The memory of an array of any type, held while this lives. Made and freed under the GIL.
class View {
 public:
  View() = default;
  View(const View&) = delete;
  View& operator=(const View&) = delete;
  ~View() { PyBuffer_Release(&view_); }

  // False, with a Python error set, when the array does not have what the flags ask for, or its
  // elements are not in row-major order. Once only.
  bool Take(nb::handle array, int flags) {
    return PyObject_GetBuffer(array.ptr(), &view_, flags) == 0;
  }
  // The bytes of array i, which has the bytes of `type`.
  std::byte* Bytes(nb::handle array, size_t i, const TensorType& type, bool written) {
    if (!Take(array, written ? PyBUF_WRITABLE : PyBUF_SIMPLE)) nb::raise_python_error();
    if (view_.len == type.bytes()) return data();
    throw std::invalid_argument("array " + std::to_string(i) + " has " + std::to_string(view_.len) +
                                " bytes, expected " + type.str());
  }

  // What only a view taken with its format and shape knows.
  bool Is(const std::string& format, const std::vector<int64_t>& shape) const {
    return format == view_.format &&
           std::equal(shape.begin(), shape.end(), view_.shape, view_.shape + view_.ndim);
  }
  std::byte* data() const { return static_cast<std::byte*>(view_.buf); }

 private:
  Py_buffer view_ = {};
};

// Arrays with the bytes of `types`, held while this lives.
template <typename Byte>
struct Arrays {
  Arrays(const nb::list& arrays, const std::vector<TensorType>& types, bool written)
      : views(types.size()) {
    if (arrays.size() != types.size()) throw std::invalid_argument("wrong number of arrays");
    for (size_t i = 0; i < types.size(); ++i) {
      pointers.push_back(views[i].Bytes(arrays[i], i, types[i], written));
    }
  }
  std::vector<View> views;
  std::vector<Byte*> pointers;
};

std::vector<double> RunSteps(const Segment& segment, const std::vector<const std::byte*>& inputs,
                             const std::vector<std::byte*>& outputs, Team& team) {
  nb::gil_scoped_release release;
  // Kept from run to run: fresh pages would count as the steps' own time.
  thread_local Buffer workspace;
  const int64_t bytes = segment.workspace_bytes(team.size());
  if (workspace.bytes() < bytes) workspace = Buffer(bytes);
  std::vector<double> step_us;
  step_us.reserve(segment.steps().size());
  for (size_t i = 0; i < segment.steps().size(); ++i) {
    const auto start = std::chrono::steady_clock::now();
    segment.RunStep(i, inputs.data(), outputs.data(), workspace.data(), team);
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
    step_us.push_back(took.count());
  }
  return step_us;
}

}  // namespace

std::vector<double> RunSegment(const Segment& segment, const nb::list& inputs,
                               const nb::list& outputs, Team& team) {
  const Arrays<const std::byte> in(inputs, segment.inputs(), false);
  const Arrays<std::byte> out(outputs, segment.outputs(), true);
  return RunSteps(segment, in.pointers, out.pointers, team);
}

SegmentRun::SegmentRun(std::shared_ptr<const Segment> segment, Team& team, const nb::list& inputs,
                       const nb::list& outputs)
    : segment_(std::move(segment)), team_(team) {
  for (const nb::handle& pair : inputs) {
    inputs_.push_back({nb::borrow(pair[0]), nb::cast<std::string>(pair[1])});
  }
  for (const nb::handle& pair : outputs) {
    outputs_.push_back({nb::borrow(pair[0]), nb::borrow(pair[1])});
  }
  if (inputs_.size() != segment_->inputs().size() ||
      outputs_.size() != segment_->outputs().size()) {
    throw std::invalid_argument("a segment's inputs and outputs need a key each");
  }
}

nb::object SegmentRun::Run(nb::handle inputs) {
  if (!PyDict_CheckExact(inputs.ptr())) return nb::none();
  if (static_cast<size_t>(PyDict_Size(inputs.ptr())) != inputs_.size()) return nb::none();
  std::vector<View> views(inputs_.size());
  std::vector<const std::byte*> pointers;
  for (size_t i = 0; i < inputs_.size(); ++i) {
    PyObject* const given = PyDict_GetItemWithError(inputs.ptr(), inputs_[i].key.ptr());
    View& view = views[i];
    if (given == nullptr || !view.Take(given, PyBUF_FORMAT | PyBUF_C_CONTIGUOUS)) {
      PyErr_Clear();
      return nb::none();
    }
    if (!view.Is(inputs_[i].format, segment_->inputs()[i].shape)) return nb::none();
    pointers.push_back(view.data());
  }
  return Finish(pointers);
}

nb::object SegmentRun::RunArrays(const nb::list& arrays) {
  return Finish(Arrays<const std::byte>(arrays, segment_->inputs(), false).pointers);
}

nb::object SegmentRun::Finish(const std::vector<const std::byte*>& inputs) {
  std::vector<Made> made = std::exchange(made_, {});
  made.resize(outputs_.size());
  std::vector<std::byte*> pointers;
  for (size_t i = 0; i < outputs_.size(); ++i) {
    if (!made[i].array.is_valid() || Py_REFCNT(made[i].array.ptr()) > 1) {
      nb::object array = outputs_[i].make();
      made[i] = {array, View().Bytes(array, i, segment_->outputs()[i], true)};
    }
    pointers.push_back(made[i].data);
  }
  step_us_ = RunSteps(*segment_, inputs, pointers, team_);
  nb::dict results;
  for (size_t i = 0; i < outputs_.size(); ++i) {
    PyObject* const view = PyObject_CallMethodNoArgs(made[i].array.ptr(), view_.ptr());
    if (view == nullptr) nb::raise_python_error();
    results[outputs_[i].key] = nb::steal(view);
  }
  made_ = std::move(made);
  return results;
}

}  // namespace coexec::kernels
