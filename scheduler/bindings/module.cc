// What Python sees of the scheduler's core. Bindings convert and forward; they hold no logic.
#include "scheduler/bindings/bindings.h"

NB_MODULE(_core, m) {
  // A daemon ends with its channel alive; the operating system takes it back.
  nanobind::set_leak_warnings(false);
  coexec::scheduler::BindChannel(m);
  coexec::scheduler::BindPolicy(m);
  coexec::scheduler::BindEngine(m);
}
