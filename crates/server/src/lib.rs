//! The Roomful server: signalling, web app and browser SDK on one port.
