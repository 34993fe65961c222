"""The fixes: one module for each check, of the same name.

A fix module has ``actions(finding, facts)``: it turns one finding into what is to be done, and does
nothing itself. The planner puts the actions of all findings together and works out the recipe.
"""
