// What Python sees of the kernels. Bindings convert and forward; they hold no logic.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include <cstring>

#include "kernels/base/buffer.h"
#include "kernels/base/copies_input.h"
#include "kernels/base/host.h"
#include "kernels/base/peak.h"
#include "kernels/base/shares_work.h"
#include "kernels/base/team.h"
#include "kernels/bindings/segment_run.h"
#include "kernels/program/mapped_file.h"
#include "kernels/program/registry.h"
#include "kernels/program/segment.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace coexec::kernels {
namespace {

// Read-only arrays will do: bytes that arrived in a message.
using ConstBytes = nb::ndarray<const uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using ConstantPtr = std::shared_ptr<const Constant>;

const std::byte* At(const std::shared_ptr<MappedFile>& file, int64_t offset, int64_t bytes) {
  if (offset < 0 || bytes < 0 || offset > file->bytes() - bytes) {
    throw std::invalid_argument("constant lies outside its file");
  }
  return file->data() + offset;
}

ConstantPtr DenseConstant(TensorType type, std::shared_ptr<MappedFile> file, int64_t offset) {
  const std::byte* data = At(file, offset, type.bytes());
  return std::make_shared<Constant>(std::move(type), data, file);
}

// values: the non-zeros in row-major order; mask: one bit per element, lowest bit first.
ConstantPtr SparseConstant(TensorType type, std::shared_ptr<MappedFile> file, int64_t values_offset,
                           int64_t nonzeros, int64_t mask_offset) {
  const int64_t size = SizeOf(type.dtype);
  const int64_t elements = type.elements();
  const std::byte* values = At(file, values_offset, nonzeros * size);
  const auto* mask = reinterpret_cast<const uint8_t*>(At(file, mask_offset, (elements + 7) / 8));
  int64_t set = 0;
  for (int64_t i = 0; i < elements; ++i) set += (mask[i / 8] >> (i % 8)) & 1;
  if (set != nonzeros) throw std::invalid_argument("sparse constant: mask and values disagree");
  return std::make_shared<Constant>(type, [=](std::byte* dense) {
    const std::byte* next = values;
    for (int64_t i = 0; i < elements; ++i) {
      if (((mask[i / 8] >> (i % 8)) & 1) == 0) continue;
      std::memcpy(dense + i * size, next, static_cast<size_t>(size));
      next += size;
    }
    (void)file;  // held by the closure: values and mask point into it
  });
}

ConstantPtr CopiedConstant(TensorType type, ConstBytes data) {
  if (static_cast<int64_t>(data.size()) != type.bytes()) {
    throw std::invalid_argument("constant: " + type.str() + " does not hold " +
                                std::to_string(data.size()) + " bytes");
  }
  if (type.layout == Layout::kDense) {
    auto copy = std::make_shared<Buffer>(type.bytes());
    if (data.size() > 0) std::memcpy(copy->data(), data.data(), data.size());
    return std::make_shared<Constant>(std::move(type), copy->data(), copy);
  }
  auto copy = std::make_shared<std::vector<uint8_t>>(data.data(), data.data() + data.size());
  return std::make_shared<Constant>(std::move(type), [copy](std::byte* dense) {
    std::memcpy(dense, copy->data(), copy->size());
  });
}

std::shared_ptr<Step> NewStep(const std::string& op, std::map<std::string, Attr> attrs,
                              const std::vector<TensorType>& inputs,
                              const std::vector<TensorType>& outputs,
                              const std::vector<ConstantPtr>& constants) {
  const Attrs values(std::move(attrs));
  nb::gil_scoped_release release;  // packing a weight may take long
  return MakeStep(op, StepSpec{values, inputs, outputs, constants});
}

}  // namespace

NB_MODULE(_kernels, m) {
  nb::set_leak_warnings(false);  // steps may live until the process ends
  nb::exception<Unsupported>(m, "UnsupportedLayerError", PyExc_ValueError);

  // Objects that C++ shares derive from enable_shared_from_this, so that the engine's threads
  // drop them without asking for the interpreter lock.
  nb::class_<TensorType>(m, "TensorType")
      .def(
          "__init__",
          [](TensorType* self, const std::string& dtype, std::vector<int64_t> shape,
             const std::string& layout) {
            new (self) TensorType{DTypeFromName(dtype), std::move(shape), LayoutFromName(layout)};
          },
          "dtype"_a, "shape"_a, "layout"_a = "dense")
      .def_prop_ro("dtype", [](const TensorType& t) { return std::string(Name(t.dtype)); })
      .def_prop_ro("shape", [](const TensorType& t) { return nb::tuple(nb::cast(t.shape)); })
      .def_prop_ro("layout", [](const TensorType& t) { return std::string(Name(t.layout)); })
      .def_prop_ro("nbytes", &TensorType::bytes)
      .def("__repr__", &TensorType::str);

  nb::class_<MappedFile>(m, "MappedFile")
      .def(nb::new_([](const std::string& path) { return std::make_shared<MappedFile>(path); }),
           "path"_a)
      .def_prop_ro("nbytes", &MappedFile::bytes)
      .def(
          "same",
          [](const std::shared_ptr<MappedFile>& file, int64_t offset,
             const std::shared_ptr<MappedFile>& other, int64_t other_offset, int64_t nbytes) {
            const std::byte* a = At(file, offset, nbytes);
            const std::byte* b = At(other, other_offset, nbytes);
            nb::gil_scoped_release release;
            return nbytes == 0 || std::memcmp(a, b, static_cast<size_t>(nbytes)) == 0;
          },
          "offset"_a, "other"_a, "other_offset"_a, "nbytes"_a)
      .def("drop", &MappedFile::Drop);

  nb::class_<Constant>(m, "Constant")
      .def_prop_ro("type", &Constant::type)
      .def_static("dense", &DenseConstant, "type"_a, "file"_a, "offset"_a)
      .def_static("sparse", &SparseConstant, "type"_a, "file"_a, "values_offset"_a, "nonzeros"_a,
                  "mask_offset"_a)
      .def_static("copied", &CopiedConstant, "type"_a, "data"_a);

  nb::class_<Step>(m, "Step")
      .def(nb::new_(&NewStep), "op"_a, "attrs"_a, "inputs"_a, "outputs"_a, "constants"_a)
      .def_prop_ro("kernel", &Step::kernel)
      .def("in_place", &Step::in_place, "i"_a)
      .def("scratch_bytes", &Step::scratch_bytes, "threads"_a);

  nb::enum_<Operand::Place>(m, "Place")
      .value("NONE", Operand::Place::kNone)
      .value("INPUT", Operand::Place::kInput)
      .value("OUTPUT", Operand::Place::kOutput)
      .value("ARENA", Operand::Place::kArena)
      .value("CONSTANT", Operand::Place::kConstant);
  nb::class_<Operand>(m, "Operand")
      .def(
          "__init__",
          [](Operand* self, Operand::Place place, int64_t at) {
            new (self) Operand{place, at};
          },
          "place"_a, "at"_a = 0);
  nb::class_<SegmentStep>(m, "SegmentStep")
      .def(
          "__init__",
          [](SegmentStep* self, std::string name, std::shared_ptr<Step> step,
             std::vector<Operand> inputs, std::vector<Operand> outputs) {
            new (self) SegmentStep{std::move(name), std::move(step), std::move(inputs),
                                   std::move(outputs)};
          },
          "name"_a, "step"_a, "inputs"_a, "outputs"_a);
  nb::class_<Segment>(m, "Segment")
      .def(nb::new_(&std::make_shared<Segment, std::vector<TensorType>, std::vector<TensorType>,
                                      std::vector<ConstantPtr>, std::vector<SegmentStep>, int64_t>),
           "inputs"_a, "outputs"_a, "constants"_a, "steps"_a, "arena_bytes"_a)
      .def_prop_ro("inputs", &Segment::inputs)
      .def_prop_ro("outputs", &Segment::outputs)
      .def_prop_ro("arena_bytes", &Segment::arena_bytes)
      .def_prop_ro("kernels",
                   [](const Segment& segment) {
                     std::vector<std::string> names;
                     for (const SegmentStep& step : segment.steps()) {
                       names.push_back(step.step->kernel());
                     }
                     return names;
                   })
      .def_prop_ro("copied_bytes",
                   [](const Segment& segment) {
                     std::vector<int64_t> bytes;
                     for (const SegmentStep& step : segment.steps()) {
                       const auto* copies = dynamic_cast<const CopiesInput*>(step.step.get());
                       bytes.push_back(copies == nullptr ? 0 : copies->copied_bytes());
                     }
                     return bytes;
                   })
      .def(
          "products",
          [](const Segment& segment, int threads) {
            std::vector<std::vector<int64_t>> products;
            for (const SegmentStep& step : segment.steps()) {
              const auto* shares = dynamic_cast<const SharesWork*>(step.step.get());
              products.push_back(shares == nullptr ? std::vector<int64_t>()
                                                   : shares->products(threads));
            }
            return products;
          },
          "threads"_a)
      .def("workspace_bytes", &Segment::workspace_bytes, "threads"_a)
      .def("run", &RunSegment, "inputs"_a, "outputs"_a, "team"_a);

  nb::class_<Team>(m, "Team")
      .def(nb::new_(&MakeThreadTeam), "cores"_a)
      .def_prop_ro("size", &Team::size);

  nb::class_<SegmentRun>(m, "SegmentRun")
      .def(nb::init<std::shared_ptr<const Segment>, Team&, const nb::list&, const nb::list&>(),
           "segment"_a, "team"_a, "inputs"_a, "outputs"_a, nb::keep_alive<1, 3>())
      .def("run", &SegmentRun::Run, "inputs"_a)
      .def("run_arrays", &SegmentRun::RunArrays, "arrays"_a)
      .def_prop_ro("step_us", &SegmentRun::step_us);

  m.def("available_cores", &AvailableCores);
  m.def("native_ops", &NativeOps);
  m.def("measured_peak_flops", &MeasuredPeakFlops, nb::call_guard<nb::gil_scoped_release>());
  m.def("host_isa", [] { return std::string(IsaName(HostIsa())); });
  m.def("host_isas", [] { return IsaNames(DetectIsa()); });
}

}  // namespace coexec::kernels
