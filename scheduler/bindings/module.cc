// What Python sees of the scheduler's core. Bindings convert and forward; they hold no logic.
#include "scheduler/bindings/bindings.h"

NB_MODULE(_core, m) {
  coexec::scheduler::BindChannel(m);
  coexec::scheduler::BindPolicy(m);
  coexec::scheduler::BindEngine(m);
}
