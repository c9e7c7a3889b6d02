//! The backend, against a real master.
