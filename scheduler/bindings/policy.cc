// The policy as a function on plain data.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "scheduler/bindings/bindings.h"
#include "scheduler/core/policy.h"

namespace coexec::scheduler {

void BindPolicy(nb::module_& m) {
  m.attr("NEVER") = kNever;
  nb::enum_<Class>(m, "Class")
      .value("REAL_TIME", Class::kRealTime)
      .value("DEADLINE", Class::kDeadline)
      .value("BEST_EFFORT", Class::kBestEffort);
  nb::enum_<LaneKind>(m, "LaneKind")
      .value("CPU", LaneKind::kCpu)
      .value("ONNXRUNTIME", LaneKind::kOnnxRuntime);
  nb::enum_<Action::Kind>(m, "ActionKind")
      .value("DROP", Action::Kind::kDrop)
      .value("LAUNCH", Action::Kind::kLaunch)
      .value("HELP", Action::Kind::kHelp)
      .value("PREEMPT", Action::Kind::kPreempt);
  nb::class_<JobView>(m, "JobView")
      .def(
          "__init__",
          [](JobView* self, uint64_t id, Class job_class, LaneKind kind, uint32_t priority,
             int64_t deadline_us, int64_t expires_us, int64_t cost_us, int64_t arrival_us) {
            new (self) JobView{id,          job_class,  kind,    priority,
                               deadline_us, expires_us, cost_us, arrival_us};
          },
          "id"_a, nb::kw_only(), "job_class"_a = Class::kBestEffort, "kind"_a = LaneKind::kCpu,
          "priority"_a = 0, "deadline_us"_a = kNever, "expires_us"_a = kNever, "cost_us"_a = 0,
          "arrival_us"_a = 0)
      .def_ro("id", &JobView::id)
      .def_ro("job_class", &JobView::job_class)
      .def_ro("kind", &JobView::kind)
      .def_ro("cost_us", &JobView::cost_us);
  nb::class_<RunningView>(m, "RunningView")
      .def(
          "__init__",
          [](RunningView* self, const JobView& job, int lane, int64_t started_us) {
            new (self) RunningView{job, lane, started_us};
          },
          "job"_a, "lane"_a, "started_us"_a);
  nb::class_<LaneView>(m, "LaneView")
      .def(
          "__init__",
          [](LaneView* self, int id, LaneKind kind) {
            new (self) LaneView{id, kind};
          },
          "id"_a, "kind"_a = LaneKind::kCpu);
  nb::class_<Action>(m, "Action")
      .def_ro("kind", &Action::kind)
      .def_ro("job", &Action::job)
      .def_ro("lane", &Action::lane)
      .def_ro("reason", &Action::reason);
  m.def(
      "decide",
      [](int64_t now_us, std::vector<JobView> ready, std::vector<RunningView> running,
         std::vector<LaneView> free_lanes, int64_t quantum_us, int64_t contended_us,
         int64_t best_effort_us, int best_effort_percent) {
        return Decide({now_us, quantum_us, std::move(ready), std::move(running),
                       std::move(free_lanes), contended_us, best_effort_us, best_effort_percent});
      },
      "now_us"_a, "ready"_a, "running"_a, "free_lanes"_a, nb::kw_only(), "quantum_us"_a = 2000,
      "contended_us"_a = 0, "best_effort_us"_a = 0, "best_effort_percent"_a = 5);
}

}  // namespace coexec::scheduler
