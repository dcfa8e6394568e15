#pragma once
#include <nanobind/nanobind.h>

#include <memory>
#include <string>
#include <vector>

#include "kernels/program/segment.h"

namespace coexec::kernels {

// Runs all steps of a segment on arrays, whose elements count as bytes; returns the microseconds
// of each.
std::vector<double> RunSegment(const Segment& segment, const nanobind::list& inputs,
                               const nanobind::list& outputs, Team& team);

// A segment with all that its runs need of Python made ready: a run after other programs have had
// the caches waits for every object it touches, and a few hundred of those take as long as a small
// model.
class SegmentRun {
 public:
  // inputs: pairs of a key and the format of its elements in the words of Python's buffers, ""
  // where these have none. outputs: pairs of a key and a function that makes the array. The team
  // outlives this.
  SegmentRun(std::shared_ptr<const Segment> segment, Team& team, const nanobind::list& inputs,
             const nanobind::list& outputs);

  // A dict of NumPy arrays by key -> a dict of new ones by key. None, and nothing is run, unless
  // there is just one for each input, of its format and shape and in row-major order.
  nanobind::object Run(nanobind::handle inputs);
  // The same for arrays in the order of the inputs, of which the bytes count.
  nanobind::object RunArrays(const nanobind::list& arrays);

  // Microseconds of each step in the last run.
  const std::vector<double>& step_us() const { return step_us_; }

 private:
  struct Input {
    nanobind::object key;
    std::string format;
  };
  struct Output {
    nanobind::object key;
    nanobind::object make;
  };
  // An output's memory. Arrays handed out are views of it: when none is left, the next run takes
  // it again, which saves fresh pages.
  struct Made {
    nanobind::object array;
    std::byte* data = nullptr;
  };

  nanobind::object Finish(const std::vector<const std::byte*>& inputs);

  std::shared_ptr<const Segment> segment_;
  Team& team_;
  nanobind::object view_ = nanobind::str("view");
  std::vector<Input> inputs_;
  std::vector<Output> outputs_;
  std::vector<Made> made_;  // by output; empty while a run has them
  std::vector<double> step_us_;
};

}  // namespace coexec::kernels
