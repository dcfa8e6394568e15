// The engine's end: lanes, segments, programs, statistics. Whatever takes the engine's lock is
// called without the interpreter lock.
#include "scheduler/core/engine.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include "scheduler/bindings/external.h"

namespace coexec::scheduler {
namespace {

using SegmentPtr = std::shared_ptr<QueuedSegment>;
using Sources = std::vector<std::pair<int, int>>;

// Stops its threads without the interpreter lock, which they may be waiting for.
struct EngineHolder {
  explicit EngineHolder(std::unique_ptr<Engine> made) : engine(std::move(made)) {}
  ~EngineHolder() { Stop(); }
  void Stop() {
    nb::gil_scoped_release release;
    engine.reset();
  }
  Engine& get() const {
    if (!engine) throw std::runtime_error("the engine has been stopped");
    return *engine;
  }
  std::unique_ptr<Engine> engine;
};

std::vector<Source> ToSources(const Sources& pairs) {
  std::vector<Source> sources;
  for (const auto& [segment, place] : pairs) sources.push_back({segment, place});
  return sources;
}

SegmentPtr NativeSegment(const EngineHolder& holder, const std::string& digest,
                         const std::string& model, std::vector<std::string> names,
                         const std::shared_ptr<kernels::Segment>& segment,
                         const std::vector<double>& step_us) {
  const auto shown = std::make_shared<const SegmentNames>(SegmentNames{model, std::move(names)});
  return std::make_shared<QueuedSegment>(digest, shown, segment, nullptr, step_us,
                                         holder.get().cpu_lanes());
}

SegmentPtr ExternalSegment(const EngineHolder&, const std::string& digest, const std::string& model,
                           const std::string& name, nb::callable run, double cost_us) {
  const auto shown = std::make_shared<const SegmentNames>(SegmentNames{model, {name}});
  return std::make_shared<QueuedSegment>(digest, shown, nullptr, MakePythonExternal(std::move(run)),
                                         std::vector<double>{cost_us}, 1);
}

std::shared_ptr<Program> NewProgram(
    uint32_t id, const std::string& model, const std::string& version, int64_t objective_us,
    uint64_t queue_len_max, const std::vector<std::pair<std::string, std::vector<int64_t>>>& inputs,
    const std::vector<std::pair<SegmentPtr, Sources>>& segments, const Sources& outputs,
    const std::shared_ptr<Program>& previous) {
  auto program = std::make_shared<Program>();
  program->id = id;
  program->model = model;
  program->version = version;
  program->objective_us = objective_us;
  program->queue_len_max = queue_len_max;
  for (const auto& [dtype, shape] : inputs) program->inputs.push_back({DTypeByName(dtype), shape});
  for (const auto& [segment, sources] : segments) {
    program->segments.push_back({segment, ToSources(sources), {}});
  }
  program->outputs = ToSources(outputs);
  if (previous) program->stats = previous->stats;
  program->Finish();
  return program;
}

void BindStatistics(nb::module_& m) {
  nb::class_<LaneStats>(m, "LaneStats")
      .def_ro("name", &LaneStats::name)
      .def_ro("cores", &LaneStats::cores)
      .def_ro("busy_us", &LaneStats::busy_us)
      .def_ro("segments_run", &LaneStats::segments_run)
      .def_ro("steps_run", &LaneStats::steps_run);
  nb::class_<ProgramStats>(m, "ProgramStats")
      .def_ro("requests", &ProgramStats::requests)
      .def_ro("refused", &ProgramStats::refused)
      .def_ro("expired", &ProgramStats::expired)
      .def_ro("cancelled", &ProgramStats::cancelled)
      .def_ro("failed", &ProgramStats::failed)
      .def_ro("deadlines", &ProgramStats::deadlines)
      .def_ro("deadlines_missed", &ProgramStats::deadlines_missed)
      .def_ro("queue_len", &ProgramStats::queue_len)
      .def_ro("in_flight", &ProgramStats::in_flight)
      .def_ro("jobs_shared", &ProgramStats::jobs_shared)
      .def_ro("saved_us", &ProgramStats::saved_us);
  nb::class_<ProgramSnapshot>(m, "ProgramSnapshot")
      .def_ro("id", &ProgramSnapshot::id)
      .def_ro("model", &ProgramSnapshot::model)
      .def_ro("version", &ProgramSnapshot::version)
      .def_ro("stats", &ProgramSnapshot::stats);
  nb::class_<SegmentStats>(m, "SegmentStats")
      .def_ro("runs", &SegmentStats::runs)
      .def_ro("hits", &SegmentStats::hits)
      .def_ro("saved_us", &SegmentStats::saved_us)
      .def_ro("step_us", &SegmentStats::step_us);
  nb::class_<LaneProgress>(m, "LaneProgress")
      .def_ro("lane", &LaneProgress::lane)
      .def_prop_ro("model", [](const LaneProgress& p) { return p.names->model; })
      .def_prop_ro("name", [](const LaneProgress& p) { return p.names->steps[p.step]; })
      .def_ro("job", &LaneProgress::job)
      .def_ro("step", &LaneProgress::step)
      .def_ro("expected_us", &LaneProgress::expected_us)
      .def_ro("programs", &LaneProgress::programs);
  nb::class_<LaneSpan>(m, "LaneSpan")
      .def_ro("lane", &LaneSpan::lane)
      .def_prop_ro("start_us", [](const LaneSpan& s) { return s.span.start_us; })
      .def_prop_ro("duration_us", [](const LaneSpan& s) { return s.span.duration_us; })
      .def_prop_ro("model", [](const LaneSpan& s) { return s.span.names->model; })
      .def_prop_ro("name", [](const LaneSpan& s) { return s.span.names->steps[s.span.step]; })
      .def_prop_ro("request_id", [](const LaneSpan& s) { return s.span.request_id; })
      .def_prop_ro("shared_by", [](const LaneSpan& s) { return s.span.shared_by; });
}

// Calls f(engine) without the interpreter lock.
template <typename F>
auto Unlocked(const EngineHolder& holder, F f) {
  Engine& engine = holder.get();
  nb::gil_scoped_release release;
  return f(engine);
}

}  // namespace

void BindEngine(nb::module_& m) {
  BindStatistics(m);
  nb::class_<QueuedSegment>(m, "QueuedSegment")
      .def_ro("digest", &QueuedSegment::digest)
      .def_ro("workspace_bytes", &QueuedSegment::workspace_bytes);
  nb::class_<Program>(m, "Program")
      .def(nb::new_(&NewProgram), "id"_a, "model"_a, "version"_a, "objective_us"_a,
           "queue_len_max"_a, "inputs"_a, "segments"_a, "outputs"_a, "previous"_a.none())
      .def_ro("id", &Program::id);
  nb::class_<EngineHolder>(m, "Engine")
      .def(
          "__init__",
          [](EngineHolder* self, const std::vector<int>& fds,
             const std::vector<std::vector<int>>& lanes, int onnxruntime_lanes, bool reuse,
             int64_t quantum_us, uint64_t queue_len_max, int best_effort_percent) {
            const SchedulerOptions options{reuse, quantum_us, queue_len_max, best_effort_percent};
            new (self)
                EngineHolder(std::make_unique<Engine>(fds, lanes, onnxruntime_lanes, options));
          },
          "fds"_a, "lanes"_a, "onnxruntime_lanes"_a = 1, nb::kw_only(), "reuse"_a = true,
          "quantum_us"_a = 2000, "queue_len_max"_a = 256, "best_effort_percent"_a = 5)
      .def("stop", &EngineHolder::Stop)
      .def("native_segment", &NativeSegment, "digest"_a, "model"_a, "names"_a, "segment"_a,
           "step_us"_a)
      .def("external_segment", &ExternalSegment, "digest"_a, "model"_a, "name"_a, "run"_a,
           "cost_us"_a)
      .def(
          "add_program",
          [](const EngineHolder& holder, const std::shared_ptr<Program>& program) {
            Unlocked(holder, [&](Engine& engine) { engine.AddProgram(program); });
          },
          "program"_a)
      .def(
          "remove_program",
          [](const EngineHolder& holder, uint32_t id) {
            Unlocked(holder, [&](Engine& engine) { engine.RemoveProgram(id); });
          },
          "program_id"_a)
      .def(
          "wait_idle",
          [](const EngineHolder& holder, const std::shared_ptr<Program>& program) {
            Unlocked(holder, [&](Engine& engine) { engine.WaitIdle(*program); });
          },
          "program"_a)
      .def("drop_retired",
           [](const EngineHolder& holder) {
             return Unlocked(holder, [](Engine& engine) {
               engine.TakeRetired().clear();
               return engine.retired();
             });
           })
      .def("trim",
           [](const EngineHolder& holder) {
             Unlocked(holder, [](Engine& engine) { engine.Trim(); });
           })
      .def("lane_stats",
           [](const EngineHolder& holder) {
             return Unlocked(holder, [](Engine& engine) { return engine.lane_stats(); });
           })
      .def("progress",
           [](const EngineHolder& holder) {
             return Unlocked(holder, [](Engine& engine) { return engine.progress(); });
           })
      .def("program_stats",
           [](const EngineHolder& holder) {
             return Unlocked(holder, [](Engine& engine) { return engine.program_stats(); });
           })
      .def(
          "segment_stats",
          [](const EngineHolder& holder, const SegmentPtr& segment) {
            return Unlocked(holder, [&](Engine& engine) { return engine.segment_stats(*segment); });
          },
          "segment"_a)
      .def(
          "spans",
          [](const EngineHolder& holder, int64_t from_us) {
            return Unlocked(holder, [&](Engine& engine) { return engine.spans(from_us); });
          },
          "from_us"_a)
      .def_prop_ro("replies_full", [](const EngineHolder& h) { return h.get().replies_full(); })
      .def_prop_ro("ring_full", [](const EngineHolder& h) { return h.get().ring_full(); })
      .def("broken_fd", [](const EngineHolder& h) { return h.get().broken_fd(); });
  m.def("now_us", &NowUs);
}

}  // namespace coexec::scheduler
