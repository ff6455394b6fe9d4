//! WebRTC for many peers over one UDP socket.
