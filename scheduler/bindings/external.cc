#include "scheduler/bindings/external.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstring>
#include <stdexcept>

namespace coexec::scheduler {
namespace {

using ByteArray = nb::ndarray<const uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// A Python object that any thread may drop.
class Held {
 public:
  explicit Held(nb::object object) : object_(std::move(object)) {}
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  ~Held() {
    if (!nb::is_alive()) {
      object_.release();
      return;
    }
    nb::gil_scoped_acquire acquire;
    object_.reset();
  }
  const nb::object& get() const { return object_; }

 private:
  nb::object object_;
};

nb::object ToPython(const ValuePtr& value) {
  nb::object data =
      value->info.dtype == kOpaque
          ? static_cast<const Held*>(value->owner.get())->get()
          : BytesArray(const_cast<std::byte*>(value->data), value->bytes, value, false);
  return nb::make_tuple(DTypeName(value->info.dtype), nb::tuple(nb::cast(value->info.shape)), data);
}

ValuePtr FromPython(nb::handle item, size_t output, External::Allocate allocate) {
  const auto tuple = nb::cast<nb::tuple>(item);
  TensorInfo info{DTypeByName(nb::cast<std::string>(tuple[0])),
                  nb::cast<std::vector<int64_t>>(tuple[1])};
  if (info.dtype == kOpaque) {
    return std::make_shared<const Value>(std::move(info), nullptr, 0,
                                         std::make_shared<Held>(nb::object(tuple[2])));
  }
  const auto data = nb::cast<ByteArray>(tuple[2]);
  const auto bytes = static_cast<int64_t>(data.size());
  if (info.dtype != kString && scheduler::Bytes(info) != bytes) {
    throw std::runtime_error("an output of " + std::to_string(bytes) + " bytes is no " +
                             info.str());
  }
  Place place = allocate(output, bytes);
  if (bytes > 0) std::memcpy(place.data, data.data(), data.size());
  return std::make_shared<const Value>(std::move(info), place.data, bytes, std::move(place.owner),
                                       std::move(place.reply_block));
}

class PythonExternal final : public External {
 public:
  explicit PythonExternal(nb::callable run) : run_(std::move(run)) {}

  std::vector<ValuePtr> Run(const std::vector<ValuePtr>& inputs, Allocate allocate) override {
    nb::gil_scoped_acquire acquire;
    try {
      nb::list arguments;
      for (const ValuePtr& value : inputs) arguments.append(ToPython(value));
      const nb::object results = nb::cast<nb::callable>(run_.get())(arguments);
      std::vector<ValuePtr> values;
      for (nb::handle item : results) values.push_back(FromPython(item, values.size(), allocate));
      return values;
    } catch (const nb::python_error& error) {
      // Only the text leaves: the exception itself needs the interpreter lock to be dropped.
      throw std::runtime_error(nb::cast<std::string>(nb::str(error.value())));
    } catch (const nb::cast_error&) {
      throw std::runtime_error("a segment returned what is no list of (dtype, shape, data)");
    }
  }

 private:
  Held run_;
};

}  // namespace

std::shared_ptr<External> MakePythonExternal(nb::callable run) {
  return std::make_shared<PythonExternal>(std::move(run));
}

}  // namespace coexec::scheduler
