//! Foreign texts on a regex engine that never backtracks.
