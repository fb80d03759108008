"""placeholder"""
def write_page(runs): return ""
