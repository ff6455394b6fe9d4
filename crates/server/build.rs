//! Embeds the web app and the SDK anew when a file comes or goes; changes of files are seen without this.

fn main() {
    for folder in ["../../app", "../../sdk/src"] {
        println!("cargo::rerun-if-changed={folder}");
    }
}
