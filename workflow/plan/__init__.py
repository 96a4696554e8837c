"""The Python of the workflow: what runs, what it reads, what it asks of the machine. Importable, and free of torch.

The rules in `workflow/rules` hold no logic; `common.smk` makes one object of each module here and the rules use those.
"""
