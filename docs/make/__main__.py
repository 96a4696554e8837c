"""Makes everything that is made from code and records: `python -m docs.make` (or `make docs`).

Three steps: copy the numbers and pictures of the runs in results/ into docs/, write config/schema.json, and write the
pages again.
"""

from . import config_schema, numbers, pages

if __name__ == "__main__":
    numbers.gather()
    config_schema.write()
    changed = pages.write()
    print("\n".join(changed) if changed else "every page is up to date")
