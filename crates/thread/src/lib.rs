//! std::thread for WebAssembly: spawn, join, park, on a pool of parked workers.
