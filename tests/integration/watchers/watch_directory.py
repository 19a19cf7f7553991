"""Python's watchdog on a directory: prints one line for each event, and "ready" when it watches."""

import sys
import time

from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer


class Printer(FileSystemEventHandler):
    def on_any_event(self, event):
        print(event.event_type, event.src_path, getattr(event, "dest_path", ""), flush=True)


observer = Observer()
observer.schedule(Printer(), sys.argv[1], recursive=False)
observer.start()
print("ready", flush=True)
while True:
    time.sleep(3600)
